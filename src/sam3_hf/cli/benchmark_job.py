"""What `benchmark` was asked to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class BenchmarkJob:
    """The arguments of the command, as they were typed; `model` holds those about the model by name."""

    model: dict[str, Any]
    parts: str | None
    prompts: str
    batch: str | None
    growth: str | None
    points: str | None
    picture: str
    objects: int
    against: str | None
    roofline: bool
    rounds: int
    json: Path | None
    overwrite: bool
