"""Evidence: what decisions about a frame are made on, brought from the device at once.

detections [D, h, w], tracks [T, h, w] -> scores, overlaps, areas and boxes as NumPy arrays
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sam3_hf.video.detections import Detections
from sam3_hf.video.overlaps import mask_iou
from sam3_hf.video.results import boxes_of


class Tracks(NamedTuple):
    """What the tracker says of the objects it follows: ids, mask logits, whether each is there at all, its phrase."""

    ids: list[int]
    logits: Float[Tensor, "T h w"]
    score_logits: Float[Tensor, "T"]
    phrases: list[int]


class Evidence(NamedTuple):
    """Overlaps are 0 between different phrases, so that each phrase decides as if it were alone.

    A track is `searched` where its phrase was looked for on this frame; otherwise not finding it says nothing.
    """

    scores: Float[np.ndarray, "D"]
    phrases: Int[np.ndarray, "D"]
    track_ids: list[int]
    track_phrases: Int[np.ndarray, "T"]
    track_logits: Float[np.ndarray, "T"]
    searched: Bool[np.ndarray, "T"]
    there: Bool[np.ndarray, "T"]
    ious: Float[np.ndarray, "D T"]
    track_ious: Float[np.ndarray, "T T"]
    box_ious: Float[np.ndarray, "D T"]


def gather(detections: Detections, tracks: Tracks, searched: Collection[int]) -> Evidence:
    """Compute on the device, then bring everything over in one piece; `searched` are the phrases looked for."""
    found, followed = detections.logits > 0, tracks.logits > 0
    columns = (
        detections.scores,
        tracks.score_logits,
        followed.any(-1).any(-1),
        *mask_iou(torch.cat([found, followed]), followed).split([len(found), len(followed)]),
        _box_iou(detections.boxes_xyxy.float(), _relative_boxes(followed))
        if len(found)
        else found.new_zeros(0, len(followed)),
    )
    flat = torch.cat([column.float().flatten() for column in columns]).cpu().numpy()
    cuts = np.cumsum([column.numel() for column in columns])[:-1]
    values = [part.reshape(column.shape) for part, column in zip(np.split(flat, cuts), columns, strict=True)]
    scores, logits, there, ious, track_ious, box_ious = values
    phrases, track_phrases = np.array(detections.phrases, int), np.array(tracks.phrases, int)
    same = phrases[:, None] == track_phrases
    return Evidence(
        scores=scores,
        phrases=phrases,
        track_ids=tracks.ids,
        track_phrases=track_phrases,
        track_logits=logits,
        searched=np.isin(track_phrases, list(searched)),
        there=there > 0,
        ious=ious * same,
        track_ious=track_ious * (track_phrases[:, None] == track_phrases),
        box_ious=box_ious * same,
    )


def _relative_boxes(masks: Bool[Tensor, "N h w"]) -> Float[Tensor, "N 4"]:
    height, width = masks.shape[1:]
    size = torch.tensor([width, height, width, height])
    return boxes_of(masks) / size.to(masks.device, non_blocking=True)


def _box_iou(ones: Float[Tensor, "N 4"], others: Float[Tensor, "M 4"]) -> Float[Tensor, "N M"]:
    """Without any guard, boxes turned inside out included."""
    low, high = torch.maximum(ones[:, None, :2], others[:, :2]), torch.minimum(ones[:, None, 2:], others[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas, other_areas = ((boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (ones, others))
    return shared / (areas[:, None] + other_areas - shared)
