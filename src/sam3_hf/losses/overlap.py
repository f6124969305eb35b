"""Overlap of boxes, pair by pair.

boxes [..., 4] and others [..., 4], corners in the same unit -> iou [...], giou [...]
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.ops.nms import box_areas


class Overlap(NamedTuple):
    """Intersection over union, and the same less the share of the enclosing box that belongs to neither (GIoU)."""

    iou: Float[Tensor, "*B"]
    giou: Float[Tensor, "*B"]


def overlap(ones_xyxy: Float[Tensor, "*#B 4"], others_xyxy: Float[Tensor, "*#B 4"]) -> Overlap:
    """Overlap of boxes that broadcast against each other; formula of arXiv 1902.09630."""
    low = torch.maximum(ones_xyxy[..., :2], others_xyxy[..., :2])
    high = torch.minimum(ones_xyxy[..., 2:], others_xyxy[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = box_areas(ones_xyxy) + box_areas(others_xyxy) - shared
    least = torch.minimum(ones_xyxy[..., :2], others_xyxy[..., :2])
    most = torch.maximum(ones_xyxy[..., 2:], others_xyxy[..., 2:])
    around = (most - least).prod(-1)
    tiny = torch.finfo(union.dtype).tiny  # two boxes without area share nothing
    iou = shared / union.clamp(min=tiny)
    return Overlap(iou, iou - (around - union) / around.clamp(min=tiny))
