"""Sequences: grids read as tokens, and padded sequences that know which of their entries are real.

grid [B, C, H, W] <-> tokens [B, H*W, C]
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class PaddedTokens(NamedTuple):
    """A padded sequence that knows which of its entries are real (`valid` is True there)."""

    values: Float[Tensor, "B P C"]
    valid: Bool[Tensor, "B P"]


def join(first: PaddedTokens, second: PaddedTokens) -> PaddedTokens:
    """Both sequences, one after the other; padding stays where it is."""
    return PaddedTokens(torch.cat([first.values, second.values], 1), torch.cat([first.valid, second.valid], 1))


def mean_of_real(tokens: PaddedTokens) -> Float[Tensor, "B C"]:
    """Average of the real entries of each row."""
    weights = tokens.valid.unsqueeze(-1).to(tokens.values.dtype)
    return (tokens.values * weights).sum(1) / weights.sum(1).clamp(min=1)


def to_tokens(grid: Float[Tensor, "B C H W"]) -> Float[Tensor, "B H*W C"]:
    """Read a feature grid row by row, as a sequence."""
    return grid.flatten(2).transpose(1, 2)


def to_grid(tokens: Float[Tensor, "B N C"], size: tuple[int, int]) -> Float[Tensor, "B C H W"]:
    """Lay a sequence out again as a grid of `size` (height, width).

    Nothing is moved: the channels of a cell stay side by side (`channels_last`), which convolutions like best.
    """
    return tokens.unflatten(1, size).movedim(-1, 1)
