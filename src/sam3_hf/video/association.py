"""Association: which detection is which track, which is new, which track was not seen.

Evidence -> Association; every phrase decides for itself
"""

from typing import Any, NamedTuple

import numpy as np

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.video.assignment import best_pairs
from sam3_hf.video.evidence import Evidence


class Association(NamedTuple):
    """Detections by their number, tracks by their id.

    A track may be in a match list, which takes little overlap, and be unmatched, which takes more to avoid.
    """

    new: list[int]
    matches: dict[int, list[int]]
    unmatched: list[int]
    empty: list[int]
    sure_pairs: dict[int, int]


def associate(evidence: Evidence, config: Sam3VideoConfig) -> Association:
    """Compare every detection with every track of its phrase."""
    ids = np.array(evidence.track_ids, int)
    near = evidence.ious >= config.assoc_iou_thresh
    followed = np.isin(evidence.phrases, evidence.track_phrases)
    # Parity: as long as nothing is followed, every detection becomes an object, however unsure.
    new = ~near.any(1) & (~followed | (evidence.scores >= config.new_det_thresh))
    seen = _seen(evidence, config)
    return Association(
        new=np.flatnonzero(new).tolist(),
        matches={int(d): ids[near[d]].tolist() for d in np.flatnonzero(followed)},
        unmatched=ids[evidence.there & evidence.searched & ~seen].tolist(),
        empty=ids[~evidence.there].tolist(),
        sure_pairs=_sure_pairs(evidence, new, config),
    )


def _seen(evidence: Evidence, config: Sam3VideoConfig) -> Any:
    """Which tracks lie under a detection."""
    close = evidence.ious >= config.trk_assoc_iou_thresh
    if not config.o2o_matching_masklets_enable:
        return close.any(0)
    seen = np.zeros(close.shape[1], bool)
    for detection, track in best_pairs(evidence.ious):
        seen[track] = close[detection, track]
    return seen


def _sure_pairs(evidence: Evidence, new: np.ndarray, config: Sam3VideoConfig) -> dict[int, int]:
    """Tracks under a detection of high score and overlap; of several detections the last."""
    if not evidence.ious.size:
        return {}
    sure = (evidence.scores >= config.high_conf_thresh) & (evidence.ious.max(1) >= config.high_iou_thresh) & ~new
    return {evidence.track_ids[int(evidence.ious[d].argmax())]: int(d) for d in np.flatnonzero(sure)}
