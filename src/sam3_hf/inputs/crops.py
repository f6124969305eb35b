"""Where to look for everything: points on a grid, over the whole image and over crops of it.

image size -> crops [x1, y1, x2, y2] in pixels, layer by layer -> points of each, (x, y) in 0..1 of the crop
"""

import math
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Crop(NamedTuple):
    """A part of the image in pixels, right and bottom exclusive, and its layer: 0 is the image itself."""

    box: tuple[int, int, int, int]
    layer: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        x1, y1, x2, y2 = self.box
        return y2 - y1, x2 - x1


def crops_of(size: tuple[int, int], layers: int, overlap_ratio: float) -> list[Crop]:
    """The image, and in each further layer twice as many crops per side as in the one before.

    Args:
        size: Height and width of the image.
        layers: Layers beside the image itself.
        overlap_ratio: Overlap of neighbours in the first layer, as a share of the shorter side; halved in each further.
    """
    height, width = size
    crops = [Crop((0, 0, width, height), 0)]
    for layer in range(1, layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(size) * 2 / per_side)
        lengths = [math.ceil((overlap * (per_side - 1) + length) / per_side) for length in (width, height)]
        starts = [[(length - overlap) * n for n in range(per_side)] for length in lengths]
        for x, y in product(*starts):
            crops.append(Crop((x, y, min(x + lengths[0], width), min(y + lengths[1], height)), layer))
    return crops


def point_grid(per_side: int) -> Float[Tensor, "N 2"]:
    """Points in the middle of equal cells, row by row, (x, y) in 0..1."""
    middles = (torch.arange(per_side) + 0.5) / per_side
    y, x = torch.meshgrid(middles, middles, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1)


def near_crop_edge(
    boxes_xyxy_px: Float[Tensor, "N 4"], crop: tuple[int, ...], size: tuple[int, int], tolerance: float = 20.0
) -> Tensor:
    """Whether a box, in pixels of the image, ends at the edge of its crop but not of the image: its object is cut."""
    height, width = size
    at_crop, at_image = (
        (boxes_xyxy_px - boxes_xyxy_px.new_tensor(edges)).abs() <= tolerance for edges in (crop, (0, 0, width, height))
    )
    return (at_crop & ~at_image).any(-1)
