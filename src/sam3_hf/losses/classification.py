"""Class terms: does a query match the prompt, and is there anything that does.

logits [P, Q] and matched pairs -> loss_ce; presence logits [P, 1] -> presence_loss
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sam3_hf.configuration_sam3_loss import Sam3LossConfig
from sam3_hf.losses.formulas import focal
from sam3_hf.losses.matcher import Matches
from sam3_hf.losses.overlap import overlap
from sam3_hf.losses.targets import Targets
from sam3_hf.ops.boxes import to_xyxy

# The least that a matched query is asked for.
_LEAST_GOAL = 0.01


def class_term(
    logits: Float[Tensor, "P Q"],
    boxes_cxcywh: Float[Tensor, "P Q 4"],
    targets: Targets,
    matches: Matches,
    config: Sam3LossConfig,
) -> dict[str, Float[Tensor, ""]]:
    """Cross-entropy whose goal is the better the better the box is (Align-DETR, arXiv 2304.07527).

    Negative prompts add nothing but count in the mean: what they are asked is whether anything is there at all.
    """
    goals = _goals(logits.detach(), boxes_cxcywh.detach(), targets, matches, config)
    matched = goals > 0
    right = config.class_pos_weight * F.binary_cross_entropy_with_logits(logits, goals, reduction="none")
    wrong = logits.sigmoid() ** config.class_loss_gamma * F.softplus(logits)
    each = torch.where(matched, right, wrong) * targets.present().unsqueeze(1)
    rows, queries = logits.shape
    return {"loss_ce": each.sum() / (rows * max(queries, config.pad_n_queries or 0))}


def _goals(
    logits: Float[Tensor, "P Q"],
    boxes_cxcywh: Float[Tensor, "P Q 4"],
    targets: Targets,
    matches: Matches,
    config: Sam3LossConfig,
) -> Float[Tensor, "P Q"]:
    """Where a matched query should go, between its score and its overlap; 0 for all others."""
    place = (matches.row, matches.query)
    iou = overlap(to_xyxy(boxes_cxcywh[place]), to_xyxy(targets.boxes_cxcywh[matches.target])).iou
    alpha = config.class_loss_alpha
    goals = (logits[place].sigmoid() ** alpha * iou ** (1 - alpha)).clamp(min=_LEAST_GOAL)
    # A query with several objects takes the best goal, whatever their order.
    flat = torch.zeros_like(logits).flatten()
    index = matches.row * logits.shape[1] + matches.query
    return flat.scatter_reduce(0, index, goals, "amax").view_as(logits)


def presence_term(
    presence_logits: Float[Tensor, "P 1"], targets: Targets, config: Sam3LossConfig
) -> dict[str, Float[Tensor, ""]]:
    """Whether the row has any object, as a mean over rows."""
    goals = targets.present().unsqueeze(1)
    loss = focal(presence_logits, goals, config.presence_alpha, config.presence_gamma)
    return {"presence_loss": loss.mean()}
