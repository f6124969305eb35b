"""Detections: of the detector's queries, those that are sure enough, each thing once.

scores [P, Q], boxes [P, Q, 4], mask logits [P, Q, h, w] of P phrases -> those that stay, phrase after phrase
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sam3_hf.ops.nms import keep_first
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
    scores: Float[Tensor, "Q"], logits: Float[Tensor, "Q h w"], threshold: float | int, overlap: float | int | None
) -> Bool[Tensor, "Q"]:
    """Which detections exceed the score `threshold` and overlap no better one by more than `overlap` (if given)."""
    sure = scores > threshold
    if overlap is None:
        return sure
    order = torch.where(sure, scores, -1).argsort(descending=True, stable=True)[: int(sure.sum())]
    masks = logits[order] > 0
    overlapping = (mask_iou(masks, masks) > overlap).triu(diagonal=1)
    return torch.zeros_like(sure).index_fill(0, order[keep_first(overlapping)], True)


def join(parts: list[Detections]) -> Detections:
    """The detections of several phrases, one after the other."""
    tensors = [torch.cat(values) for values in list(zip(*parts, strict=True))[:3]]
    return Detections(*tensors, phrases=[phrase for part in parts for phrase in part.phrases])
