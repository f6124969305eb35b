"""Connected components of masks, neighbours on all eight sides, in plain PyTorch on any device.

masks [N, H, W] -> runs of pixels within rows -> runs that touch get one label -> labels, areas [N, H, W]

Runs are far fewer than pixels, and labels spread along whole runs, so few rounds are needed.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


class Components(NamedTuple):
    """For every pixel its component, numbered 1, 2, ... through all masks, and that component's area; 0 outside."""

    labels: Int[Tensor, "N H W"]
    areas: Int[Tensor, "N H W"]


class _Runs(NamedTuple):
    """Neighbouring pixels of a row as ranges of places in the padded masks, read row by row."""

    start: Int[Tensor, "R"]
    stop: Int[Tensor, "R"]


def components(masks: Bool[Tensor, "N H W"]) -> Components:
    """Label the components of every mask."""
    runs = _runs(masks)
    root = _roots(runs, stride=masks.shape[2] + 1)
    is_root = root == torch.arange(len(root), device=root.device)
    number = is_root.cumsum(0)[root]
    return Components(_paint(number, runs, masks), _paint(_areas(runs, root), runs, masks))


def small_components(masks: Bool[Tensor, "N H W"], area: float | int) -> Bool[Tensor, "N H W"]:
    """The pixels of components of at most `area` pixels."""
    runs = _runs(masks)
    root = _roots(runs, stride=masks.shape[2] + 1)
    return _paint(_areas(runs, root) <= area, runs, masks)


def small_areas(masks: Bool[Tensor, "N H W"], most: int) -> Int[Tensor, "N H W"]:
    """Area of every pixel's component where that is at most `most` pixels, 0 elsewhere.

    The host does not wait to see how far the device is: a component of so few pixels has as few runs. In every second
    round their trees become at most half as many, so after a number of rounds that is known beforehand each small
    component has one label. Larger ones may be in pieces by then, and pieces still touch others.
    """
    runs = _runs(masks)
    lower, upper = _touching(runs, stride=masks.shape[2] + 1)
    halvings = max(most - 1, 1).bit_length()
    root = torch.arange(len(runs.start), device=masks.device)
    for _ in range(2 * halvings):
        root = _hooked(root, root[lower], root[upper])
        for _ in range(halvings):
            root = root[root]
    one, other = root[lower], root[upper]
    torn = (one != other).long()
    touching = torch.zeros_like(root).index_add(0, one, torn).index_add(0, other, torn)[root]
    areas = _areas(runs, root)
    return _paint(torch.where((areas <= most) & (touching == 0), areas, 0), runs, masks)


def tidy(
    logits: Float[Tensor, "N H W"],
    max_hole_area: float | int,
    max_sprinkle_area: float | int,
    threshold: float | int = 0.0,
) -> Float[Tensor, "N H W"]:
    """Fill holes of at most so many pixels, and remove specks; both are looked for in the logits as given."""
    tidied = logits
    if max_hole_area > 0:
        tidied = tidied.masked_fill(small_components(logits <= threshold, max_hole_area), threshold + 10)
    if max_sprinkle_area > 0:
        tidied = tidied.masked_fill(small_components(logits > threshold, max_sprinkle_area), threshold - 10)
    return tidied


def _runs(masks: Bool[Tensor, "N H W"]) -> _Runs:
    """Every run of every mask; a blank column and a blank row after each mask keep rows and masks apart."""
    line = F.pad(masks, (0, 1, 0, 1)).flatten()
    before, after = F.pad(line[:-1], (1, 0)), F.pad(line[1:], (0, 1))
    # There are as many ends as beginnings: the host has to ask the device only once.
    first, last = torch.stack([line & ~before, line & ~after]).nonzero()[:, 1].unflatten(0, (2, -1))
    return _Runs(first, last + 1)


def _touching(runs: _Runs, stride: int) -> tuple[Int[Tensor, "E"], Int[Tensor, "E"]]:
    """Pairs of runs that touch, the lower and the upper one; in what is left of two places per run, runs by themselves.

    Rows of n and m runs have less than n + m pairs, so two places per run are enough.
    """
    # A run touches those of the row above that reach over it by one place on either side.
    first = torch.searchsorted(runs.stop, runs.start - stride - 1, right=True)
    past = torch.searchsorted(runs.start, runs.stop - stride + 1)
    ends = (past - first).clamp(min=0).cumsum(0)
    pair = torch.arange(2 * len(ends), device=ends.device)
    lower = torch.searchsorted(ends, pair, right=True)
    real = lower < len(ends)
    lower = lower.clamp(max=max(len(ends) - 1, 0))
    # The last pair of a run has the last run above it that it touches.
    return lower, torch.where(real, past[lower] + pair - ends[lower], lower)


def _hooked(root: Int[Tensor, "R"], one: Int[Tensor, "E"], other: Int[Tensor, "E"]) -> Int[Tensor, "R"]:
    """Roots that touch have the least of those they touch as their root."""
    least = torch.minimum(one, other)
    return root.scatter_reduce(0, torch.cat([one, other]), torch.cat([least, least]), "amin")


def _roots(runs: _Runs, stride: int) -> Int[Tensor, "R"]:
    """The first run of every run's component."""
    lower, upper = _touching(runs, stride)
    root = torch.arange(len(runs.start), device=runs.start.device)
    while True:
        one, other = root[lower], root[upper]
        if one.equal(other):
            return root
        root = _hooked(root, one, other)
        root = root[root][root]


def _areas(runs: _Runs, root: Int[Tensor, "R"]) -> Int[Tensor, "R"]:
    """Area of every run's component."""
    return torch.zeros_like(root).scatter_add(0, root, runs.stop - runs.start)[root]


def _paint(values: Shaped[Tensor, "R"], runs: _Runs, masks: Bool[Tensor, "N H W"]) -> Shaped[Tensor, "N H W"]:
    """Give every pixel the value of its run, 0 where there is none."""
    count, height, width = masks.shape
    places = count * (height + 1) * (width + 1)
    edges = F.pad(torch.stack([runs.start, runs.stop], 1).flatten(), (1, 1))
    edges[-1] = places
    spread = F.pad(torch.stack([torch.zeros_like(values), values], 1).flatten(), (0, 1))
    padded = spread.repeat_interleave(edges.diff(), output_size=places)
    return padded.view(count, height + 1, width + 1)[:, :-1, :-1]
