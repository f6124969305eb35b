"""What `track` was asked to do."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrackJob:
    """The arguments of the command, as they were typed; `frames` holds start, end and every."""

    video: str
    text: list[str]
    box: list[str]
    point: list[str]
    frames: tuple[int, int | None, int]
    fps: float | None
    model: str
    dtype: str
    device: str
    output: Path
    overlay: bool
    resume: bool
    save_every: float
    video_id: int
    category_id: list[int]
