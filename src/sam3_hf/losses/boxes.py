"""Box terms: how far a query's box is from its object's.

matched pairs of boxes [M, 4] -> loss_bbox, loss_giou
"""

from jaxtyping import Float
from torch import Tensor

from sam3_hf.losses.matcher import Matches
from sam3_hf.losses.overlap import overlap
from sam3_hf.losses.targets import Targets
from sam3_hf.ops.boxes import to_xyxy


def box_terms(
    boxes_cxcywh: Float[Tensor, "P Q 4"], targets: Targets, matches: Matches, objects: Tensor
) -> dict[str, Float[Tensor, ""]]:
    """L1 distance and lack of generalised overlap, summed over pairs, per object (DETR, arXiv 2005.12872)."""
    boxes, goals = boxes_cxcywh[matches.row, matches.query], targets.boxes_cxcywh[matches.target]
    return {
        "loss_bbox": (boxes - goals).abs().sum() / objects,
        "loss_giou": (1 - overlap(to_xyxy(boxes), to_xyxy(goals)).giou).sum() / objects,
    }
