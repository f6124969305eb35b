"""Sources: where the frames of a video come from; they are read one by one, when they are wanted.

file, folder, list -> Recording: of known length, in any order, from any frame on
webcam, URL, generator -> Stream: once, in order, of unknown length
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import Any, NamedTuple

# Up to so many frames ahead, reading on is cheaper than looking for the place anew.
_REACH = 16


class VideoError(ValueError):
    """This cannot be used as a video; the message says why, and what to pass."""


class Frame(NamedTuple):
    """A frame: its number in the whole video, seconds since the first frame, and the upright image.

    Where `damaged`, the frame could not be decoded, and the image is that of the nearest one before it that could.
    """

    number: int
    time: Fraction
    image: Any
    damaged: bool = False


class Recording(ABC):
    """A video whose frames can be read in any order. `video[number]` is the image of a frame.

    Attributes:
        size: Height and width in pixels, upright.
        time_base: All frames' times are multiples of it.
    """

    size: tuple[int, int]
    time_base: Fraction

    def __init__(self) -> None:
        self._coming: Iterator[Frame] = iter(())
        self._place, self._latest = -1, None

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames."""

    @abstractmethod
    def frames(self, places: range | None = None) -> Iterator[Frame]:
        """Frames in ascending order, all if not told which. Several such iterators do not disturb each other."""

    def read(self, place: int) -> Frame:
        """One frame; quick where it is not far behind the one that was read last.

        Raises:
            IndexError: There is no such frame.
        """
        if not 0 <= place < len(self):
            raise IndexError(f"There is no frame {place}; the video has {len(self)} frames, counted from 0.")
        if self._latest is None or place != self._place:
            if self._latest is None or not self._place < place <= self._place + _REACH:
                self._coming, self._place = self.frames(range(place, len(self))), place - 1
            self._latest = next(islice(self._coming, place - self._place - 1, None))
            self._place = place
        return self._latest

    def __getitem__(self, place: int) -> Any:
        return self.read(place).image


class Selection(Recording):
    """Some frames of a recording, which keep their numbers and times.

    Args:
        recording: The whole video.
        numbers: Which of its frames, ascending.
    """

    def __init__(self, recording: Recording, numbers: range) -> None:
        super().__init__()
        self.recording, self.numbers = recording, numbers
        self.size, self.time_base = recording.size, recording.time_base

    def __len__(self) -> int:
        return len(self.numbers)

    def frames(self, places: range | None = None) -> Iterator[Frame]:
        """See `Recording.frames`."""
        places = range(len(self)) if places is None else places
        return self.recording.frames(self.numbers[places.start : places.stop : places.step])


class Stream:
    """A video that is read once, in order.

    Args:
        frames: Its frames.
        time_base: All frames' times are multiples of it.
    """

    def __init__(self, frames: Iterator[Frame], time_base: Fraction) -> None:
        self._frames, self.time_base = frames, time_base

    def __iter__(self) -> Iterator[Frame]:
        return self._frames


def select(video: Recording | Stream, start: int = 0, end: int | None = None, every: int = 1) -> Selection | Stream:
    """Every so many-th frame from `start` up to, but without, `end`.

    Raises:
        VideoError: That is no frame at all, or the video does not reach so far.
    """
    if start < 0 or every < 1 or (end is not None and end <= start):
        raise VideoError(
            f"No frame lies in start {start}, end {end}, every {every}: start counts from 0, end is behind."
        )
    if isinstance(video, Stream):
        return Stream(islice(iter(video), start, end, every), video.time_base)
    last = len(video) if end is None else end
    if start >= len(video) or last > len(video):
        name = f"start {start}" if start >= len(video) else f"end {last}"
        raise VideoError(f"The video has {len(video)} frames, counted from 0; {name} is beyond them.")
    return Selection(video, range(start, last, every))
