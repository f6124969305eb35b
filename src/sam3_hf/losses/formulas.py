"""Formulas of a yes or a no: focal loss and dice, per element or per mask.

logits [...] and targets 0..1 [...] -> loss [...]
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def focal(
    logits: Float[Tensor, "*S"], targets: Float[Tensor, "*S"], alpha: float | int, gamma: float | int
) -> Float[Tensor, "*S"]:
    """Cross-entropy that spares what is already right (RetinaNet, arXiv 1708.02002); `alpha` weighs the yes."""
    chance = logits.sigmoid()
    wrong = chance + targets - 2 * chance * targets  # 1 - probability of the right answer
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return weight * F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * wrong**gamma


def dice(logits: Float[Tensor, "*M N"], targets: Float[Tensor, "*M N"]) -> Float[Tensor, "*M"]:
    """One less the overlap of two soft masks, each a row of `N` pixels, smoothed by one pixel."""
    chance = logits.sigmoid()
    shared = (chance * targets).sum(-1)
    return 1 - (2 * shared + 1) / (chance.sum(-1) + targets.sum(-1) + 1)
