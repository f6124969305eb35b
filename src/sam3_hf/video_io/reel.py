"""Reel: a video as a session reads it, mostly in order, decoded a few frames ahead by a thread.

Recording, Stream -> images by place, or one after the other -> frames, kept until they are taken
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from sam3_hf.video_io.pipeline import ahead
from sam3_hf.video_io.sources import Frame, Recording, Stream


class _ReadAhead:
    """Frames that a thread decodes, kept until they are taken."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._coming = ahead(frames)
        self._kept: dict[int, Frame] = {}

    def take(self, place: int) -> Frame:
        """A frame that is done with; it and those before it are kept no longer."""
        frame = self._frame(place)
        self.drop(place)
        return frame

    def drop(self, place: int) -> None:
        """Keep neither this frame nor those before it any longer."""
        self._kept = {other: kept for other, kept in self._kept.items() if other > place}

    def close(self) -> None:
        """Stop reading ahead."""
        self._coming.close()

    def _frame(self, place: int) -> Frame:
        return self._kept[place]


class Reel(_ReadAhead):
    """A recording, to be passed to a session as its video.

    Args:
        video: The recording.
        first: The frame from which on it will be read in order.
    """

    def __init__(self, video: Recording, first: int = 0) -> None:
        super().__init__(video.frames(range(first, len(video))))
        self._video, self._next = video, first

    def __len__(self) -> int:
        return len(self._video)

    def __getitem__(self, place: int) -> Any:
        if place == self._next:
            self._kept[place] = next(self._coming)
            self._next += 1
        return self._frame(place).image

    def _frame(self, place: int) -> Frame:
        """Frames out of order are decoded on their own."""
        return self._kept.get(place) or self._video.read(place)


class LiveReel(_ReadAhead):
    """A stream, to be passed to a session as its video, which reads it once."""

    def __init__(self, video: Stream) -> None:
        super().__init__(iter(video))

    def __iter__(self) -> Iterator[Any]:
        with closing(self._coming):
            for place, frame in enumerate(self._coming):
                self._kept[place] = frame
                yield frame.image
