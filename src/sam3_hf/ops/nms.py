"""Non-maximum suppression in plain PyTorch: of boxes that overlap, the one with the highest score stays.

boxes [N, 4], scores [N] -> indices of those that stay, best first
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Rows of the overlap table that are computed at once.
_ROWS = 1024


def box_areas(boxes_xyxy: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B"]:
    """Area of each box, in the square of its unit; 0 where corners are out of order."""
    return (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).clamp(min=0).prod(-1)


def box_iou(ones_xyxy: Float[Tensor, "N 4"], others_xyxy: Float[Tensor, "M 4"]) -> Float[Tensor, "N M"]:
    """Intersection over union of every box with every other; 0 where both are empty."""
    low = torch.maximum(ones_xyxy[:, None, :2], others_xyxy[None, :, :2])
    high = torch.minimum(ones_xyxy[:, None, 2:], others_xyxy[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = box_areas(ones_xyxy)[:, None] + box_areas(others_xyxy)[None] - shared
    return shared / union.clamp(min=torch.finfo(union.dtype).tiny)


def nms(boxes_xyxy: Float[Tensor, "N 4"], scores: Float[Tensor, "N"], threshold: float | int) -> Int[Tensor, "K"]:
    """Go through boxes from the best score down; keep those that overlap no kept one by more than `threshold`.

    Equal scores keep their order.
    """
    order = scores.argsort(descending=True, stable=True)
    return order[keep_first(_overlapping(boxes_xyxy[order], threshold))]


def kept_above(
    scores: Float[Tensor, "Q"],
    boxes_xyxy: Float[Tensor, "Q 4"],
    threshold: float | int,
    nms_threshold: float | int | None,
) -> Bool[Tensor, "Q"]:
    """Which have a score higher than `threshold` and, unless `nms_threshold` is `None`, survive `nms`."""
    keep = scores > threshold
    if nms_threshold is None:
        return keep
    above = keep.nonzero().flatten()
    distinct = torch.zeros_like(keep)
    distinct[above[nms(boxes_xyxy[above].float(), scores[above], nms_threshold)]] = True
    return distinct


def _overlapping(boxes_xyxy: Float[Tensor, "N 4"], threshold: float | int) -> Bool[Tensor, "N N"]:
    """Whether box i, the better one, overlaps box j."""
    rows = [box_iou(some, boxes_xyxy) > threshold for some in boxes_xyxy.split(_ROWS)]
    return torch.cat(rows or [boxes_xyxy.new_zeros(0, 0, dtype=torch.bool)]).triu(diagonal=1)


def keep_first(overlapping: Bool[Tensor, "N N"]) -> Bool[Tensor, "N"]:
    """Each entry stays unless an earlier one that stays overlaps it; as many rounds as chains of overlaps are long."""
    keep = torch.ones(len(overlapping), dtype=torch.bool, device=overlapping.device)
    while True:
        kept = ~(overlapping & keep[:, None]).any(0)
        if kept.equal(keep):
            return keep
        keep = kept
