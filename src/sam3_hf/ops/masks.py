"""Masks: from logits to pixels, their boxes, and COCO run-length codes.

logits [N, h, w] -> binarize_at(size) -> masks [N, H, W], bool -> boxes [N, 4] in pixels
                 -> rle_at(size)      -> codes, one mask at a time
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from sam3_hf.ops.drawing import Region, Samples, draw


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
    given = logits.shape[-2:]
    if tuple(given) == size:
        return logits
    # What only grows has nothing to smooth: the same numbers, in half of the time.
    shrinks = size[0] < given[0] or size[1] < given[1]
    return F.interpolate(logits.float(), size, mode="bilinear", antialias=shrinks)


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
        region = draw(source.numpy(), rows, columns, threshold)
        if region is None:
            mask[:] = _binarize_all(source, size, threshold).numpy()
        else:
            mask[region.rows, region.columns] = region.pixels
    return torch.from_numpy(masks)


def rle_at(logits: Float[Tensor, "N h w"], size: tuple[int, int], threshold: float) -> list[dict[str, Any]]:
    """What `encode_rle` makes of each mask of `binarize_at`, of which only one is ever held, and only where it lies."""
    rows, columns = (Samples.bilinear(n, pixels) for n, pixels in zip(logits.shape[1:], size, strict=True))
    sparse = logits.device.type == "cpu" and math.isfinite(threshold)
    codes = []
    for source in logits.detach().float():
        region = draw(source.numpy(), rows, columns, threshold) if sparse else None
        if region is None:
            region = Region.around(_binarize_all(source, size, threshold).cpu().numpy())
        codes.append(_encode(region, size))
    return codes


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


def encode_rle(mask: Bool[Tensor, "H W"]) -> dict[str, Any]:
    """COCO's compressed run-length code: `size` (height, width) and `counts`, a string as JSON files hold it."""
    height, width = mask.shape
    return _encode(Region(slice(0, height), slice(0, width), mask.cpu().numpy()), (height, width))


def area_of_rle(code: dict[str, Any]) -> int:
    """Number of pixels of a mask that is given as a COCO run-length code."""
    return int(_runs(code["counts"])[1::2].sum())


def _encode(region: Region, size: tuple[int, int]) -> dict[str, Any]:
    """The code of a mask of which nothing lies outside the region.

    Runs go down the columns, so their ends are where a pixel differs from the one above it: few, whatever the area.
    """
    (height, width), (top, left), pixels = size, (region.rows.start, region.columns.start), region.pixels
    y, x = np.nonzero(pixels[1:] != pixels[:-1])
    first, last = (np.flatnonzero(row) for row in (pixels[:1], pixels[-1:]))
    ends = np.concatenate([first * height, x * height + y + 1, last * height + len(pixels)]) + left * height + top
    ends.sort()
    # A column that ends at the bottom and the next one that begins at the top are one run.
    joint = np.flatnonzero(ends[1:] == ends[:-1])
    ends = np.delete(ends, np.concatenate([joint, joint + 1]))
    ends = ends[:-1] if len(ends) and ends[-1] == height * width else ends
    return {"size": [height, width], "counts": _write_counts(np.diff(ends, prepend=0, append=height * width))}


def decode_rle(code: dict[str, Any]) -> Bool[Tensor, "H W"]:
    """Mask of a COCO run-length code whose `counts` is a string, bytes, or a plain list of runs.

    Raises:
        ValueError: The runs do not add up to the size.
    """
    height, width = code["size"]
    runs = runs_of_rle(code)
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return torch.from_numpy(pixels.reshape(width, height).T.copy())


def runs_of_rle(code: dict[str, Any]) -> np.ndarray:
    """Lengths of the runs of a COCO run-length code, down the columns, the first of which lies outside.

    Raises:
        ValueError: They do not add up to the size.
    """
    height, width = code["size"]
    runs = _runs(code["counts"])
    if runs.sum() != height * width or (runs < 0).any():
        raise ValueError(f"The runs of this code cover {runs.sum()} pixels, but its size is {height}x{width}.")
    return runs


def _runs(counts: list[int] | str | bytes) -> np.ndarray:
    """Lengths of the runs, the first of which lies outside."""
    return np.asarray(counts) if isinstance(counts, list) else _read_counts(counts)


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
