"""Rotary embedding on a square grid: half of each head turns with the column, half with the row.

Source: "Rotary Position Embedding for Vision Transformer" (axial form), as in the original's ViT.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class RotaryTable(NamedTuple):
    """Cosine and sine of the angle of every token and channel pair, in float32."""

    cos: Float[Tensor, "N D"]
    sin: Float[Tensor, "N D"]


def rotary_table(side: int, reference_side: int, head_size: int, theta: float, like: Tensor) -> RotaryTable:
    """Angles for a grid of `side` x `side` tokens, stretched so that it spans `reference_side` positions.

    Args:
        side: Tokens along each side of the grid.
        reference_side: Side of the grid that the frequencies belong to (the attention window).
        head_size: Channels of one head, a multiple of 4.
        theta: Base of the frequencies.
        like: A tensor on the device that the table is wanted on.
    """
    steps = torch.arange(0, head_size, 4, device=like.device, dtype=torch.float32) / head_size
    positions = torch.arange(side, device=like.device, dtype=torch.float32) * (reference_side / side)
    angles = positions[:, None] / theta**steps  # [side, head_size / 4]
    columns = angles.repeat(side, 1)
    rows = angles.repeat_interleave(side, dim=0)
    turns = torch.cat([columns, rows], dim=-1)
    return RotaryTable(turns.cos(), turns.sin())


def rotate(heads: Float[Tensor, "B K N D"], table: RotaryTable) -> Float[Tensor, "B K N D"]:
    """Turn each pair of neighbouring channels by its angle, in float32, and return to the given dtype."""
    pairs = heads.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():
        # The same product written out, which compilers fuse; eagerly it would take four times as long.
        first, second = pairs.unbind(-1)
        turned = (first * table.cos - second * table.sin, first * table.sin + second * table.cos)
        return torch.stack(turned, dim=-1).flatten(-2).to(heads.dtype)
    turn = torch.complex(table.cos, table.sin)
    return torch.view_as_real(torch.view_as_complex(pairs) * turn).flatten(-2).to(heads.dtype)
