"""Boxes: formats, scaling, and the inverse of the sigmoid that keeps them in 0..1.

A name says the format: `cxcywh` (centre, size) or `xyxy` (two corners), 0..1 relative to the image unless it ends in
`_px`.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def to_xyxy(boxes_cxcywh: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 4"]:
    """Centre and size to corners."""
    centre, size = boxes_cxcywh.split(2, dim=-1)
    return torch.cat([centre - 0.5 * size, centre + 0.5 * size], dim=-1)


def to_cxcywh(boxes_xyxy: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 4"]:
    """Corners to centre and size."""
    first, second = boxes_xyxy.split(2, dim=-1)
    return torch.cat([(first + second) / 2, second - first], dim=-1)


def scale_boxes(boxes_xyxy: Float[Tensor, "*B 4"], size: tuple[int | float, int | float]) -> Float[Tensor, "*B 4"]:
    """Relative corners to pixels of an image of `size` (height, width)."""
    height, width = size
    return boxes_xyxy * boxes_xyxy.new_tensor([width, height, width, height])


def inverse_sigmoid(values: Float[Tensor, "*S"], eps: float = 1e-3) -> Float[Tensor, "*S"]:
    """Logit of values in 0..1, each side held at `eps` or more (DETR's convention, not a clamp of the value itself)."""
    values = values.clamp(0, 1)
    return torch.log(values.clamp(min=eps) / (1 - values).clamp(min=eps))
