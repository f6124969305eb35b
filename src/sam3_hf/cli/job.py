"""What `segment` was asked to do."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """The arguments of the command, as they were typed; `limits` holds the thresholds by name."""

    images: list[Path]
    text: list[str]
    box: list[str]
    limits: dict[str, float]
    model: str
    dtype: str
    device: str
    fast_decode: bool
    output: Path
    overlay: bool
    overwrite: bool
