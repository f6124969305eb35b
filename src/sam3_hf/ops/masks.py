"""Masks: from logits to pixels, their boxes, and COCO run-length codes.

logits [N, h, w] -> binarize_at(size) -> masks [N, H, W], bool -> boxes [N, 4] in pixels
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor
from torch.nn import functional as F

# From this share of undecided places on, resizing the whole mask is the faster way.
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


def logit_threshold(probability: float | int) -> float:
    """Logit that a value must exceed for its sigmoid to exceed `probability`; -inf for 0, inf for 1.

    Raises:
        ValueError: `probability` is not in 0..1.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"A threshold is a probability in 0..1; got {probability}.")
    if probability in (0, 1):
        return math.inf if probability else -math.inf
    return math.log(probability) - math.log1p(-probability)


def resize_logits(logits: Float[Tensor, "N h w"], size: tuple[int, int]) -> Float[Tensor, "N H W"]:
    """Bilinear in float32, corners not aligned."""
    return F.interpolate(logits[None].float(), size, mode="bilinear", align_corners=False)[0]


def resize_smoothly(logits: Float[Tensor, "N c h w"], size: tuple[int, int]) -> Float[Tensor, "N c H W"]:
    """Bilinear with antialiasing, as mask prompts are brought to the model's size; the same tensor if it has it."""
    if tuple(logits.shape[-2:]) == size:
        return logits
    return F.interpolate(logits.float(), size, mode="bilinear", antialias=True)


def mask_prompt(masks: Bool[Tensor, "N H W"], size: tuple[int, int]) -> Float[Tensor, "N h w"]:
    """Masks as logits like those of a model's answer: -10 outside, 10 inside, between at outlines (float32)."""
    return 20 * resize_smoothly(masks[None].float(), size)[0] - 10


def binarize_at(logits: Float[Tensor, "N h w"], size: tuple[int, int], threshold: float) -> Bool[Tensor, "N H W"]:
    """`resize_logits(logits, size) > threshold`, one mask at a time, so little more memory than the result is needed.

    On the CPU, where resizing costs most, only outlines are computed; the result is the same.
    """
    if logits.device.type != "cpu" or not math.isfinite(threshold):
        masks = torch.empty(len(logits), *size, dtype=torch.bool, device=logits.device)
        for source, mask in zip(logits, masks, strict=True):
            mask.copy_(_binarize_all(source, size, threshold))
        return masks
    # NumPy asks the system for zero pages, so places that stay empty cost neither time nor memory.
    masks = np.zeros((len(logits), *size), dtype=bool)
    rows, columns = (Samples.bilinear(n, pixels) for n, pixels in zip(logits.shape[1:], size, strict=True))
    for source, mask in zip(logits.detach().float(), masks, strict=True):
        if not _draw(mask, source.numpy(), rows, columns, threshold):
            mask[:] = _binarize_all(source, size, threshold).numpy()
    return torch.from_numpy(masks)


def boxes_of_masks(masks: Bool[Tensor, "N H W"]) -> Int[Tensor, "N 4"]:
    """Tight boxes `x1, y1, x2, y2` in pixels; right and bottom edges are exclusive, an empty mask gives zeros."""
    x1, x2 = _extent(masks.any(dim=1))
    y1, y2 = _extent(masks.any(dim=2))
    return torch.stack([x1, y1, x2, y2], dim=-1)


def _extent(occupied: Bool[Tensor, "N S"]) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"]]:
    """First occupied place and one past the last, or zeros."""
    start = occupied.byte().argmax(dim=1)
    stop = occupied.shape[1] - occupied.flip(1).byte().argmax(dim=1)
    return start, stop * occupied.any(dim=1)


def _binarize_all(source: Float[Tensor, "h w"], size: tuple[int, int], threshold: float) -> Bool[Tensor, "H W"]:
    return resize_logits(source[None], size)[0] > threshold


@np.errstate(invalid="ignore", over="ignore")  # logits may be infinite or NaN
def _draw(
    mask: Bool[np.ndarray, "H W"],
    source: Float32[np.ndarray, "h w"],
    rows: Samples,
    columns: Samples,
    threshold: float,
) -> bool:
    """Set the pixels of an empty mask whose interpolated logit exceeds the threshold; `False` if that is too much work.

    A pixel between two values well on one side of the threshold lies on that side too. So the source is stretched
    sideways, stripes between agreeing lines are copied, and only pixels between lines that disagree are computed.
    NumPy and not PyTorch: the pieces are too small to be shared among threads.
    """
    margin = max(abs(threshold) * 1e-5, 1e-30)
    above = ~(source <= threshold - margin)
    (top, bottom), (left, right) = (_extent_along(axis, above) for axis in (0, 1))
    down, across, read = rows.reading(top, bottom), columns.reading(left, right), slice(max(top - 1, 0), bottom + 1)
    rows, columns = rows.part(down).counted_from(read.start), columns.part(across)
    lines = columns.mix(source[read, columns.first], source[read, columns.second])
    inside = _with_next((lines > threshold + margin) & np.isfinite(lines))
    stripe, x = np.nonzero(~(inside | _with_next(lines <= threshold - margin)))
    if len(x) > _NOISY * lines.size:
        return False
    region = mask[down, across]
    region[:] = inside[rows.first]
    y, place = _pixels_of(stripe, rows)
    pixels, x = rows.part(y), x[place]
    region[y, x] = pixels.mix(lines[pixels.first, x], lines[pixels.second, x]) > threshold
    return True


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


def encode_rle(mask: Bool[Tensor, "H W"]) -> dict[str, Any]:
    """COCO's compressed run-length code: `size` (height, width) and `counts`, a string as JSON files hold it."""
    pixels = mask.cpu().numpy().ravel(order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs = np.diff(edges, prepend=0, append=pixels.size)
    starts_inside = pixels[:1].any()
    return {"size": list(mask.shape), "counts": _write_counts(np.insert(runs, 0, 0) if starts_inside else runs)}


def decode_rle(code: dict[str, Any]) -> Bool[Tensor, "H W"]:
    """Mask of a COCO run-length code whose `counts` is a string, bytes, or a plain list of runs.

    Raises:
        ValueError: The runs do not add up to the size.
    """
    height, width = code["size"]
    counts = code["counts"]
    runs = np.asarray(counts) if isinstance(counts, list) else _read_counts(counts)
    if runs.sum() != height * width or (runs < 0).any():
        raise ValueError(f"The runs of this code cover {runs.sum()} pixels, but its size is {height}x{width}.")
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return torch.from_numpy(pixels.reshape(width, height).T.copy())


def _write_counts(runs: np.ndarray) -> str:
    """Each run, from the fourth on less the run two before, in signed groups of five bits, the lowest first."""
    values = runs.copy()
    values[3:] -= runs[1:-2]
    groups, alive, open_ = [], [], np.ones(len(values), dtype=bool)
    while open_.any():
        low, values = values & 31, values >> 5
        alive.append(open_)
        open_ = open_ & np.where(low & 16, values != -1, values != 0)
        groups.append(low + 32 * open_ + 48)
    return np.stack(groups, axis=1)[np.stack(alive, axis=1)].astype(np.uint8).tobytes().decode("ascii")


def _read_counts(counts: str | bytes) -> np.ndarray:
    """Runs of a compressed string."""
    groups = (
        np.frombuffer(counts.encode("ascii") if isinstance(counts, str) else counts, dtype=np.uint8).astype(np.int64)
        - 48
    )
    last = (groups & 32) == 0
    first = np.flatnonzero(np.append(True, last)[:-1])
    place = np.arange(len(groups)) - np.repeat(first, np.diff(first, append=len(groups)))
    signed = (groups & 31) - np.where(last & ((groups & 16) != 0), 32, 0)
    runs = np.add.reduceat(signed << (5 * place), first)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs
