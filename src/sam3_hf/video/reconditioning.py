"""Reconditioning: from time to time a track starts anew from the mask that the detector has of it.

Association + Evidence -> tracks to recondition, and those of them that show the detector's mask on this frame
"""

from typing import NamedTuple

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.video.association import Association
from sam3_hf.video.evidence import Evidence

# Logit of the tracker's object score above which a track is sure enough to be reconditioned.
_SURE_LOGIT = 0.8


class Reconditioning(NamedTuple):
    """Detections by the id of the track that starts anew from them, and the ids that also show them."""

    detections: dict[int, int]
    shown: list[int]


def choose_reconditioning(
    found: Association, evidence: Evidence, frame: int, config: Sam3VideoConfig
) -> Reconditioning:
    """Every so many frames, or where the boxes of detection and track disagree, for all pairs that are sure."""
    every = config.recondition_every_nth_frame
    shown = _disagreeing(found, evidence, config)
    if not shown and (every <= 0 or frame % every):
        return Reconditioning({}, [])
    place = {number: row for row, number in enumerate(evidence.track_ids)}
    sure = {n: d for n, d in found.sure_pairs.items() if evidence.track_logits[place[n]] > _SURE_LOGIT}
    return Reconditioning(sure, shown)


def _disagreeing(found: Association, evidence: Evidence, config: Sam3VideoConfig) -> list[int]:
    """Tracks whose box is not the one of their detection, if these are to be reconditioned."""
    if config.reconstruction_bbox_iou_thresh <= 0:
        return []
    place = {number: row for row, number in enumerate(evidence.track_ids)}
    return [
        number
        for number, detection in found.sure_pairs.items()
        if evidence.there[place[number]]
        and evidence.box_ious[detection, place[number]] < config.reconstruction_bbox_iou_thresh
        and evidence.scores[detection] >= config.reconstruction_bbox_det_score
    ]
