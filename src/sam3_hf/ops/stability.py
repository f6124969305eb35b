"""Stability of masks: how little a mask changes when its threshold moves.

logits [..., H, W] -> stability [...], in 0..1
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

# PyTorch counts true values as whole numbers of four bytes or more, all at once; so masks are counted a few at a time.
_AT_ONCE = 16


def stability(logits: Float[Tensor, "*B H W"], threshold: float | int, offset: float | int) -> Float[Tensor, "*B"]:
    """Area above `threshold + offset`, as a share of that above `threshold - offset`; 1 where both are empty."""
    inner, outer = _areas(logits, threshold + offset), _areas(logits, threshold - offset)
    return (inner.float() / outer.clamp(min=1)).masked_fill(outer == 0, 1.0)


def _areas(logits: Float[Tensor, "*B H W"], level: float | int) -> Int[Tensor, "*B"]:
    """Number of pixels above a level."""
    masks = logits.flatten(0, -3).split(_AT_ONCE)
    areas = [(some > level).flatten(1).sum(-1, dtype=torch.int32) for some in masks]
    return torch.cat(areas).view(logits.shape[:-2])
