"""Overlaps between masks: how much two share, who keeps a contested pixel, and who vanishes behind others.

masks [N, H, W], others [M, H, W] -> IoU [N, M]
logits or masks [N, H, W] -> the same, with every pixel left to one object at most
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sam3_hf.ops.rows import on_device

# A pixel that an object has to give up has at most this logit.
GIVEN_UP = -10.0
# An object that keeps less of its area than this, once contested pixels are given away, is hidden by others.
_KEPT_SHARE = 0.3


def mask_iou(masks: Bool[Tensor, "N H W"], others: Bool[Tensor, "M H W"]) -> Float[Tensor, "N M"]:
    """Intersection over union of every mask with every other; 0 where both are empty."""
    # Counts up to 2 ** 24 pixels are exact in float32, whatever the type of the logits was.
    ones, twos = masks.flatten(1).float(), others.flatten(1).float()
    shared = ones @ twos.T
    union = ones.sum(1)[:, None] + twos.sum(1) - shared
    return shared / union.clamp(min=1)


def without_overlap(logits: Float[Tensor, "N H W"]) -> Float[Tensor, "N H W"]:
    """Every pixel stays with the object of the highest logit; of equal ones the first keeps it."""
    if len(logits) < 2:
        return logits
    numbers = torch.arange(len(logits), device=logits.device)[:, None, None]
    return torch.where(logits.max(0).indices == numbers, logits, logits.clamp(max=GIVEN_UP))


def without_hidden(logits: Float[Tensor, "N H W"], groups: Sequence[int]) -> Float[Tensor, "N H W"]:
    """Erase objects that others of their group cover almost wholly; the others stay as they are, overlaps included."""
    if not len(logits):
        return logits
    if len(set(groups)) == 1:
        hidden = _are_hidden(logits)
    else:
        hidden = torch.empty(len(logits), dtype=torch.bool, device=logits.device)
        for group in set(groups):
            rows = on_device([row for row, other in enumerate(groups) if other == group], logits)
            hidden[rows] = _are_hidden(logits[rows])
    most = torch.where(hidden, GIVEN_UP, torch.inf).to(logits.dtype)
    return torch.minimum(logits, most[:, None, None])


def without_contested(
    masks: Bool[Tensor, "N H W"], scores: Float[Tensor, "N"], groups: Sequence[int]
) -> Bool[Tensor, "N H W"]:
    """Leave every pixel to the object of its group with the best score; of equal ones the first keeps it."""
    kept = masks.clone()
    for group in set(groups):
        rows = on_device([row for row, other in enumerate(groups) if other == group], masks)
        # Parity: a score that is not positive owns no pixel once objects meet.
        claims = masks[rows] * scores[rows][:, None, None]
        owner = claims.argmax(0) == torch.arange(len(rows), device=masks.device)[:, None, None]
        kept[rows] = masks[rows] & (owner & (claims > 0) if len(rows) > 1 else True)
    return kept


def _are_hidden(logits: Float[Tensor, "N H W"]) -> Bool[Tensor, "N"]:
    """Whether others have the higher logit on most of an object's pixels; of equal ones the first has it."""
    area = (logits > 0).flatten(1).sum(1, dtype=torch.int32)
    highest, owner = logits.flatten(1).max(0)
    kept = torch.zeros_like(area).scatter_add_(0, owner, (highest > 0).to(area.dtype))
    return kept / area.clamp(min=1) < _KEPT_SHARE
