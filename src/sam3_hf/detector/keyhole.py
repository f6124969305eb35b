"""A keyhole: the mask decoder's inputs cut to one token, where training needs no mask.

levels [B, C, Hi, Wi], memory [P, N, C], prompt, index [P] -> the same of one row and one token

Without masks to learn from, the mask decoder, the largest consumer of memory, would run for nothing. Leaving it out
would leave its weights without a gradient, which distributed training refuses; a look through a keyhole costs nothing.
"""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from sam3_hf.ops.tokens import PaddedTokens


class Pixels(NamedTuple):
    """What masks are made of, besides queries."""

    levels: tuple[Float[Tensor, "B C _ _"], ...]
    memory: Float[Tensor, "P N C"]
    prompt: PaddedTokens
    index: Int[Tensor, " P"]


class Sight(NamedTuple):
    """All that the mask decoder is given."""

    queries: Float[Tensor, "P Q C"]
    levels: tuple[Float[Tensor, "B C _ _"], ...]
    memory: Float[Tensor, "P N C"]
    prompt: PaddedTokens
    index: Int[Tensor, " P"]


def keyhole(queries: Float[Tensor, "P Q C"], pixels: Pixels) -> Sight:
    """The first query, the first token, and what the finer levels show of it."""
    height, width = pixels.levels[-1].shape[-2:]
    cut = tuple(level[:, :, : level.shape[2] // height, : level.shape[3] // width] for level in pixels.levels)
    prompt = PaddedTokens(*(part[:1] for part in pixels.prompt))
    return Sight(queries[:1, :1], cut, pixels.memory[:1, :1], prompt, pixels.index[:1])
