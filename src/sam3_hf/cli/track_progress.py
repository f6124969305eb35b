"""Progress of `track`, on stderr where that is a terminal: frames, frames per second, time left."""

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class FramesPerSecond(ProgressColumn):
    """How fast it goes, over the last half minute."""

    def render(self, task: Task) -> Text:
        """Such as `12.5 fps`."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g} fps")


class FrameBar:
    """A bar, or nothing where nobody looks.

    Args:
        total: Number of frames, if it is known.
        gone: How many of them were gone through before.
    """

    def __init__(self, total: int | None, gone: int = 0) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("Tracking"),
            BarColumn(),
            MofNCompleteColumn(),
            FramesPerSecond(),
            TimeRemainingColumn() if total is not None else TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=console) if console.is_terminal else None
        self._task = None if self._bar is None else self._bar.add_task("", total=total, completed=gone)

    def __enter__(self) -> "FrameBar":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self) -> None:
        """One frame more."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)
