"""What `evaluate` was asked to do."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EvaluateJob:
    """The arguments of the command, as they were typed; `model` is `None` where a prediction file is only scored."""

    predictions: Path
    ground_truths: list[Path]
    iou_type: str
    output: Path | None
    model: str | None
    images: Path | None
    dtype: str
    device: str
    prompts_at_once: int
    video: bool
    positive_split: bool
    allow_partial: bool
    overwrite: bool
