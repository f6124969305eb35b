"""What `click` was asked to do."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ClickJob:
    """The arguments of the command, as they were typed."""

    image: Path
    point: list[str]
    box: str | None
    model: str
    dtype: str
    device: str
    output: Path
    overlay: bool
    overwrite: bool
