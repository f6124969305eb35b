"""Rotary embedding on a square grid: half of each head turns with the column, half with the row.

Source: "Rotary Position Embedding for Vision Transformer" (axial form), as in the original's ViT.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.ops.tables import kept_table


class RotaryTable(NamedTuple):
    """Cosine and sine of the angle of every token and channel pair, in float32; both as one number for eager mode."""

    cos: Float[Tensor, "N D"]
    sin: Float[Tensor, "N D"]
    turn: Tensor | None = None

    @classmethod
    def of(cls, cos: Float[Tensor, "N D"], sin: Float[Tensor, "N D"]) -> "RotaryTable":
        """With both as one number, except for compilers, which know no complex numbers."""
        return cls(cos, sin, None if torch.compiler.is_compiling() else torch.complex(cos, sin))

    def arranged(self, order: Callable[[Tensor], Tensor]) -> "RotaryTable":
        """The same with its tokens in another order."""
        return RotaryTable.of(order(self.cos), order(self.sin))


@kept_table
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
    return RotaryTable.of(turns.cos(), turns.sin())


# Numbers that are turned at a time on a CPU, where float32 copies of more would come as fresh, slow pages of memory.
_AT_ONCE = 2**20


def rotate(heads: Float[Tensor, "B K N D"], table: RotaryTable) -> Float[Tensor, "B K N D"]:
    """Turn each pair of neighbouring channels by its angle, in float32, and return to the given dtype."""
    if torch.compiler.is_compiling():
        # The same product written out, which compilers fuse; eagerly it would take four times as long.
        first, second = heads.float().unflatten(-1, (-1, 2)).unbind(-1)
        turned = (first * table.cos - second * table.sin, first * table.sin + second * table.cos)
        return torch.stack(turned, dim=-1).flatten(-2).to(heads.dtype)
    if not rotates_in_place(heads):
        return torch.view_as_real(_pairs(heads.float()) * _turn_of(table)).flatten(-2).to(heads.dtype)
    output = torch.empty_like(heads)
    _turn_into(output, heads, table)
    return output


def rotates_in_place(heads: Float[Tensor, "B K N D"]) -> bool:
    """Whether `rotate_in_place` may be used, and saves time: on a CPU without gradients or graphs."""
    return heads.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling()


def rotate_in_place(heads: Float[Tensor, "B K N D"], table: RotaryTable) -> None:
    """Write what `rotate` returns over `heads`."""
    _turn_into(heads, heads, table)


def _turn_into(output: Float[Tensor, "B K N D"], heads: Float[Tensor, "B K N D"], table: RotaryTable) -> None:
    """Turn a part after the other, so that what is made on the way stays small."""
    turn, size = _turn_of(table), max(heads[:1].numel(), 1)
    parts, rows = -(-size // _AT_ONCE), max(_AT_ONCE // size, 1)
    for some, into in zip(heads.split(rows), output.split(rows), strict=True):
        for part in zip(some.chunk(parts, 2), turn.chunk(parts), into.chunk(parts, 2), strict=True):
            _turn_part(*part)


def _turn_part(heads: Float[Tensor, "B K N D"], turn: Tensor, output: Float[Tensor, "B K N D"]) -> None:
    """Turn by complex numbers (N, D / 2), with no more memory than one copy in float32, or none."""
    if heads.dtype == torch.float32:
        torch.mul(_pairs(heads), turn, out=_pairs(output))
        return
    turned = heads.float()
    _pairs(turned).mul_(turn)
    output.copy_(turned)


def _turn_of(table: RotaryTable) -> Tensor:
    """Cosine and sine as one complex number each."""
    return torch.complex(table.cos, table.sin) if table.turn is None else table.turn


def _pairs(numbers: Float[Tensor, "*B D"]) -> Tensor:
    """Neighbouring channels as one complex number each."""
    return torch.view_as_complex(numbers.unflatten(-1, (-1, 2)))
