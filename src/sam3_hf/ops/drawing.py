"""A mask drawn at the size of an image, computed only where its outline runs.

logits [h, w] -> draw(rows, columns, threshold) -> Region: the part of the image that the object lies in, and its pixels
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int

# From this share of undecided places among all on, resizing the whole mask is the faster way.
_NOISY = 0.1


class Samples(NamedTuple):
    """Where each pixel along one side of an image reads its source: two neighbours and their weights."""

    first: Int[np.ndarray, "S"]
    second: Int[np.ndarray, "S"]
    first_weight: Float32[np.ndarray, "S"]
    second_weight: Float32[np.ndarray, "S"]

    @classmethod
    def bilinear(cls, source: int, pixels: int) -> "Samples":
        """PyTorch's bilinear rule without aligned corners, step by step in float32 as its kernels do."""
        half = np.float32(0.5)
        scale = np.float32(source) / np.float32(pixels)
        position = np.maximum((np.arange(pixels, dtype=np.float32) + half) * scale - half, 0)
        first = np.minimum(position.astype(np.int64), source - 1)
        second = first if source == pixels else np.minimum(first + 1, source - 1)
        weight = np.clip(position - first.astype(np.float32), 0, 1)
        return cls(first, second, 1 - weight, weight)

    def reading(self, start: int, stop: int) -> slice:
        """Pixels that read a source in `start..stop` (exclusive); both neighbour lists ascend."""
        return slice(int(np.searchsorted(self.second, start)), int(np.searchsorted(self.first, stop)))

    def part(self, pixels: slice | np.ndarray) -> "Samples":
        """Samples of some of the pixels."""
        return Samples(*(values[pixels] for values in self))

    def counted_from(self, start: int) -> "Samples":
        """The same samples of a source whose first `start` places are cut off."""
        return self._replace(first=self.first - start, second=self.second - start)

    def mix(
        self, first: Float32[np.ndarray, "*B S"], second: Float32[np.ndarray, "*B S"]
    ) -> Float32[np.ndarray, "*B S"]:
        """Weighted sum of the neighbours' values, equal to PyTorch's CPU kernel to the last bit.

        The kernel rounds the second product and fuses the first into the sum, which double precision reproduces.
        """
        rounded = (second * self.second_weight).astype(np.float64)
        return (first.astype(np.float64) * self.first_weight + rounded).astype(np.float32)


class Region(NamedTuple):
    """A part of an image, as slices of its rows and columns, and which of its pixels belong to an object."""

    rows: slice
    columns: slice
    pixels: Bool[np.ndarray, "h w"]

    @classmethod
    def around(cls, mask: Bool[np.ndarray, "H W"]) -> "Region":
        """The smallest region that holds all of a mask."""
        rows, columns = (slice(*_extent_along(axis, mask)) for axis in (0, 1))
        return cls(rows, columns, mask[rows, columns])


@np.errstate(invalid="ignore", over="ignore")  # logits may be infinite or NaN
def draw(source: Float32[np.ndarray, "h w"], rows: Samples, columns: Samples, threshold: float) -> Region | None:
    """The pixels whose interpolated logit exceeds the threshold, or nothing if that is too much work.

    A pixel between two values well on one side of the threshold lies on that side too. So the source is stretched
    sideways, stripes between agreeing lines are copied, and only pixels between lines that disagree are computed.
    NumPy and not PyTorch: the pieces are too small to be shared among threads.
    """
    too_much = _NOISY * len(source) * len(columns.first)
    margin = max(abs(threshold) * 1e-5, 1e-30)
    above = ~(source <= threshold - margin)
    (top, bottom), (left, right) = (_extent_along(axis, above) for axis in (0, 1))
    down, across, read = rows.reading(top, bottom), columns.reading(left, right), slice(max(top - 1, 0), bottom + 1)
    rows, columns = rows.part(down).counted_from(read.start), columns.part(across)
    lines = columns.mix(source[read, columns.first], source[read, columns.second])
    inside = _with_next((lines > threshold + margin) & np.isfinite(lines))
    stripe, x = np.nonzero(~(inside | _with_next(lines <= threshold - margin)))
    if len(x) > too_much:
        return None
    pixels = inside[rows.first]
    y, place = _pixels_of(stripe, rows)
    at, x = rows.part(y), x[place]
    pixels[y, x] = at.mix(lines[at.first, x], lines[at.second, x]) > threshold
    return Region(down, across, pixels)


def _extent_along(axis: int, occupied: Bool[np.ndarray, "h w"]) -> tuple[int, int]:
    """First occupied row (axis 0) or column (axis 1) and one past the last, or zeros."""
    places = np.flatnonzero(occupied.any(axis=1 - axis))
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)


def _with_next(lines: Bool[np.ndarray, "h W"]) -> Bool[np.ndarray, "h W"]:
    """True where a line and the one below agree on it; below the last line comes the last line."""
    return lines & np.concatenate([lines[1:], lines[-1:]])


def _pixels_of(stripe: Int[np.ndarray, "K"], rows: Samples) -> tuple[Int[np.ndarray, "M"], Int[np.ndarray, "M"]]:
    """Rows of the pixels in each stripe (those that read its line first), and which of `K` stripes each is from."""
    start, stop = np.searchsorted(rows.first, stripe), np.searchsorted(rows.first, stripe, side="right")
    count = stop - start
    place = np.repeat(np.arange(len(stripe)), count)
    return np.arange(len(place)) + (start - count.cumsum() + count)[place], place
