"""Detections: of the detector's queries, those that are sure enough, each thing once.

scores [P, Q], boxes [P, Q, 4], mask logits [P, Q, h, w] of P phrases -> those that stay, phrase after phrase
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sam3_hf.video.overlaps import mask_iou


class Detections(NamedTuple):
    """What the detector found on a frame, and for which phrase (by number)."""

    scores: Float[Tensor, "D"]
    boxes_xyxy: Float[Tensor, "D 4"]
    logits: Float[Tensor, "D h w"]
    phrases: list[int]

    @classmethod
    def none(cls, like: Float[Tensor, "*S h w"]) -> "Detections":
        """Nothing found, in masks of a size."""
        empty = like.new_zeros(0, *like.shape[-2:])
        return cls(empty.new_zeros(0), empty.new_zeros(0, 4), empty, [])


def choose(
    scores: Float[Tensor, "P Q"],
    logits: Float[Tensor, "P Q h w"],
    threshold: float | int,
    overlap: float | int | None,
) -> list[int]:
    """Which queries, counted through all phrases, exceed the score `threshold` and are no worse doubles.

    Args:
        scores: How sure each query is.
        logits: Its mask.
        threshold: Score that has to be exceeded.
        overlap: Of two of a phrase that overlap by more than this, the better one stays; `None` keeps both.
    """
    places = (scores > threshold).flatten().nonzero()[:, 0]
    if overlap is None:
        return places.tolist()
    order = places[scores.flatten()[places].argsort(descending=True, stable=True)]
    masks = logits.flatten(0, 1)[order] > 0
    overlapping = mask_iou(masks, masks) > overlap
    # One piece for the host, which goes through it faster than a device that has to be asked after every step.
    table = torch.cat([order[:, None], overlapping.long()], 1).cpu().numpy()
    numbers, double = table[:, 0], table[:, 1:].astype(bool)
    owners = numbers // scores.shape[1]
    kept = _without_doubles(double & (owners[:, None] == owners))
    return sorted(numbers[kept].tolist())


def _without_doubles(overlapping: Bool[np.ndarray, "N N"]) -> list[int]:
    """Best first: each stays unless a better one that stays overlaps it."""
    kept: list[int] = []
    for place in range(len(overlapping)):
        if not overlapping[kept, place].any():
            kept.append(place)
    return kept
