"""Tracking loss: masks, how well they are expected to fit, and whether the object is there, answer by answer.

logits [R, M, h, w], iou scores [R, M], object score logits [R, 1], truth [R, H, W] -> loss [], terms by name

Of several masks the best one is asked to fit. Of an object that cannot be seen, nothing is asked but to say so.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from sam3_hf.losses.detection import Loss, Terms
from sam3_hf.losses.formulas import dice, focal
from sam3_hf.losses.predictions import in_full


class Answer(NamedTuple):
    """What the tracker said of every object, and what is there: a mask without a pixel for an object out of sight."""

    logits: Float[Tensor, "R M h w"]
    iou_scores: Float[Tensor, "R M"]
    object_score_logits: Float[Tensor, "R 1"]
    truth: Bool[Tensor, "R H W"]


class TrackingWeights(NamedTuple):
    """Weights of the terms, as in the last stage of SAM 3's training (arXiv 2511.16719), and focal parameters."""

    mask: float | int = 20.0
    dice: float | int = 1.0
    iou: float | int = 1.0
    occlusion: float | int = 1.0
    alpha: float | int = 0.25
    gamma: float | int = 2.0


# As the original has it.
_DEFAULT = TrackingWeights()


def tracking_loss(answers: Sequence[Answer], weights: TrackingWeights = _DEFAULT) -> Loss:
    """Compare all answers of a batch with what is there; a mean over answers and objects.

    Args:
        answers: At least one, of any number of objects and masks each.
        weights: Of the terms.

    Raises:
        ValueError: There is no answer, or none about any object.
    """
    objects = sum(len(answer.truth) for answer in answers)
    if not objects:
        raise ValueError("A loss needs at least one answer about one object.")
    with torch.autocast(answers[0].logits.device.type, enabled=False):
        parts = [_compare(answer, weights) for answer in answers]
        terms: Terms = {name: torch.stack([part[name] for part in parts]).sum() / objects for name in parts[0]}
        factors = {
            "loss_mask": weights.mask,
            "loss_dice": weights.dice,
            "loss_iou": weights.iou,
            "loss_occlusion": weights.occlusion,
        }
        total = torch.stack([factors[name] * term for name, term in terms.items()]).sum()
    return Loss(total, {name: term.detach() for name, term in terms.items()})


def _compare(answer: Answer, weights: TrackingWeights) -> dict[str, Float[Tensor, ""]]:
    """Terms of one answer, summed over objects."""
    present = answer.truth.flatten(1).any(1)
    logits = in_full(answer.logits)
    logits = F.interpolate(logits, answer.truth.shape[1:], mode="bilinear", align_corners=False).flatten(2)
    goals = answer.truth.flatten(1).to(logits).unsqueeze(1).expand_as(logits)
    pixels, shapes = focal(logits, goals, weights.alpha, weights.gamma).mean(-1), dice(logits, goals)
    best = (weights.mask * pixels + weights.dice * shapes).argmin(1, keepdim=True)
    missed = (in_full(answer.iou_scores) - _iou(logits > 0, goals > 0)).abs().mean(1, keepdim=True)
    said = F.binary_cross_entropy_with_logits(
        in_full(answer.object_score_logits[:, 0]), present.to(logits), reduction="sum"
    )
    seen = present.unsqueeze(1)
    return {
        "loss_mask": (pixels.gather(1, best) * seen).sum(),
        "loss_dice": (shapes.gather(1, best) * seen).sum(),
        "loss_iou": (missed * seen).sum(),
        "loss_occlusion": said,
    }


def _iou(found: Bool[Tensor, "R M N"], goals: Bool[Tensor, "R M N"]) -> Float[Tensor, "R M"]:
    """Overlap of masks; every mask of an object counts, also those that are not asked to fit."""
    shared, either = (found & goals).sum(-1), (found | goals).sum(-1)
    return shared / either.clamp(min=1)
