"""Rows: what belongs to an image, repeated for every object that is looked for in it; and a little at a time.

parts [B, ...] of images -> [R, ...], a row per object; objects of an image are neighbours
"""

import sys
from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Shaped
from torch import Tensor

from sam3_hf.ops.products import onednn_computes

# Numbers of an image, or of a part of it, that are worked on at a time: about 2.4 MB in float32.
_AT_ONCE = 600_000


def per_object(parts: Shaped[Tensor, "B *S"], rows: int) -> Shaped[Tensor, "R *S"]:
    """The part of every object's image; objects of an image are neighbours; a single image is shared, not copied."""
    objects = rows // len(parts)
    if objects == 1:
        return parts
    return parts.unsqueeze(1).expand(-1, objects, *parts.shape[1:]).flatten(0, 1)


def objects_at_a_time(image: Shaped[Tensor, "B C H W"]) -> int:
    """How many objects of one image to work on together: on a CPU without gradients, what fits into its cache."""
    shared = len(image) == 1 and onednn_computes(image)
    return max(_AT_ONCE // image.numel(), 1) if shared else sys.maxsize


def a_few_at_a_time(
    function: Callable[..., tuple[Tensor, ...]],
    objects: tuple[Tensor, ...],
    images: tuple[Tensor, ...],
    times: int = 1,
) -> tuple[Tensor, ...]:
    """Results of a function of objects, a row each, and of images, a row for one object or more.

    On a CPU without gradients it is called for as many objects as fit into the processor's cache, for at least one;
    for a few `times` as many if what has a cost of its own, whatever the number of objects, is much of the function.
    """
    rows, count = len(objects[0]), times * _AT_ONCE // images[0][0].numel()
    if rows <= max(count, 1) or not onednn_computes(*images):
        return function(*objects, *images)
    neighbours = min((rows // len(part) for part in images if 1 < len(part) < rows), default=rows)
    starts = [
        start for image in range(0, rows, neighbours) for start in range(image, image + neighbours, max(count, 1))
    ]
    results = [
        function(*(_between(part, pair, rows) for part in objects + images)) for pair in pairwise([*starts, rows])
    ]
    return tuple(map(torch.cat, zip(*results, strict=True)))


def _between(part: Shaped[Tensor, "_ *S"], pair: tuple[int, int], rows: int) -> Shaped[Tensor, "_ *S"]:
    """The rows that belong to some of the objects, which have an image in common or one each."""
    if len(part) == 1 < rows:
        return part
    objects = rows // len(part)
    return part[pair[0] // objects : -(-pair[1] // objects)]


def in_bands(function: Callable[..., Tensor], *parts: Shaped[Tensor, "_ _ ..."]) -> Tensor:
    """A function of every place of grids [r, H, ...], whose heights are multiples of the first one's.

    On a CPU without gradients it is called for a few rows of a grid at a time: what it makes on its way stays in the
    processor's cache, and lies in memory that was used before.
    """
    height, largest = parts[0].shape[1], max(part.numel() for part in parts)
    count = min(height, -(-largest // _AT_ONCE))
    if len(parts[0]) > 1 or count < 2 or not onednn_computes(*parts):
        return function(*parts)
    edges = [height * number // count for number in range(count + 1)]
    bands = [
        function(*(part[:, first * (part.shape[1] // height) : last * (part.shape[1] // height)] for part in parts))
        for first, last in pairwise(edges)
    ]
    return torch.cat(bands, 1)
