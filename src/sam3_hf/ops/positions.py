"""Sine positions: where a cell, a point or a box is, as a vector.

Source: "Attention Is All You Need", in the two-dimensional form of DETR. Computed in float32 in every model,
because a low-precision position cannot tell neighbouring cells of a large grid apart.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.ops.tables import kept_table

TEMPERATURE = 10000.0


def sine(values: Float[Tensor, "*S"], channels: int) -> Float[Tensor, "*S C"]:
    """Alternating sine and cosine of each value in 0..1 (one turn) at `channels` / 2 wavelengths."""
    steps = torch.arange(0, channels, 2, device=values.device, dtype=torch.float32) / channels
    angles = values.float().unsqueeze(-1) * (2 * math.pi) / TEMPERATURE**steps
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


@kept_table
def grid_positions(size: tuple[int, int], channels: int, like: Tensor) -> Float[Tensor, "1 C H W"]:
    """Position of every cell of a grid of `size` (height, width), first half row, second half column."""
    height, width = size
    axes = {
        n: sine(torch.arange(1, n + 1, device=like.device, dtype=torch.float32) / (n + 1e-6), channels // 2).to(
            like.dtype
        )
        for n in dict.fromkeys(size)
    }
    rows = axes[height].T[:, :, None].expand(-1, height, width)
    columns = axes[width].T[:, None, :].expand(-1, height, width)
    return torch.cat([rows, columns]).unsqueeze(0)


def box_positions(boxes_cxcywh: Float[Tensor, "*B 4"], channels: int) -> Float[Tensor, "*B C"]:
    """Centre and size of each box at `channels` / 4 channels each, in the order y, x, width, height (float32)."""
    x, y, width, height = sine(boxes_cxcywh, channels // 4).unbind(-2)
    return torch.cat([y, x, width, height], dim=-1)


def centre_positions(boxes_cxcywh: Float[Tensor, "*B 4"], channels: int) -> Float[Tensor, "*B C"]:
    """Centre of each box at `channels` / 2 channels each in the order y, x; then its height and width (float32)."""
    centre, extent = boxes_cxcywh.float().split(2, dim=-1)
    x, y = sine(centre, channels // 2).unbind(-2)
    return torch.cat([y, x, extent.flip(-1)], dim=-1)
