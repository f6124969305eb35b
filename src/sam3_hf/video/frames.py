"""Frames of a video, prepared one at a time when they are asked for; never all of them at once.

list, tensor, any sequence, or iterator of images -> prepare -> pixel_values [3, S, S]
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jaxtyping import Float
from torch import Tensor

Prepare = Callable[[Any], tuple[Float[Tensor, "3 S S"], tuple[int, int]]]


class Frames:
    """Where the frames of a video come from.

    Args:
        source: Anything with a length whose items can be read by number, or an iterator, which is read once, in order.
        prepare: Makes pixel values of one item, and says what its size (height, width) was.

    Raises:
        ValueError: Not a source of frames, or an empty one.
    """

    def __init__(self, source: Any, prepare: Prepare) -> None:
        numbered = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        if isinstance(source, (str, bytes)) or not (numbered or isinstance(source, Iterable)):
            raise ValueError(
                "A video is a list, array, tensor or other sequence of frames, or an iterator over them; got "
                f"{type(source).__name__}. Open a file with sam3_hf.video_io.opening.open_video."
            )
        self.prepare = prepare
        self._indexed: Any = source if numbered else None
        self._coming: Iterator[Any] = iter(()) if numbered else iter(source)
        self._number, self._latest = -1, None
        self.length: int | None = len(self._indexed) if numbered else None
        self.size = self.read(0)[1]

    def read(self, number: int) -> tuple[Float[Tensor, "3 S S"], tuple[int, int]]:
        """A frame as the model takes it, and its size.

        Raises:
            ValueError: There is no such frame, or it has gone by.
        """
        pixels, size = self.prepare(self._item(number))
        if number and size != self.size:
            raise ValueError(f"All frames have one size; frame 0 has {self.size}, frame {number} {size}.")
        return pixels, size

    @property
    def can_go_back(self) -> bool:
        """Whether frames can be read in any order."""
        return self._indexed is not None

    def has(self, number: int) -> bool:
        """Whether there is such a frame, or may still be one; iterators are read up to it to find out."""
        if self.length is None:
            self._advance(number)
        return number >= 0 and (self.length is None or number < self.length)

    def _item(self, number: int) -> Any:
        if not self.has(number):
            raise ValueError(f"There is no frame {number}; the video has {self.length} frames, counted from 0.")
        if self._indexed is not None:
            return self._indexed[number]
        if number != self._number:
            raise ValueError(
                f"Frame {number} has gone by: an iterator is read once, in order, and is at frame {self._number}. Pass "
                "a sequence to go back."
            )
        return self._latest

    def _advance(self, number: int) -> None:
        """Read on to a frame, or to the end."""
        while self._number < number and self.length is None:
            try:
                self._latest = next(self._coming)
            except StopIteration:
                self.length = self._number + 1
            else:
                self._number += 1
