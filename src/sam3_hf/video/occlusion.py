"""Occlusion: of two objects that lie on each other, the one that was covered more recently is hidden.

Evidence + Register -> ids to hide, and for every track the frame on which it was last covered
"""

from typing import Any

import numpy as np

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.video.evidence import Evidence
from sam3_hf.video.memory_selection import Visit
from sam3_hf.video.register import Register

_NEVER, _FOREVER = -1, 100000


def hide_recently_occluded(
    register: Register, evidence: Evidence, removed: list[int], visit: Visit, config: Sam3VideoConfig
) -> list[int]:
    """Only objects that were there before this frame take part, also those that are removed on it."""
    if config.suppress_overlapping_based_on_recent_occlusion_threshold <= 0:
        return []
    ids = evidence.track_ids
    unknown = {number: _FOREVER if number in removed else _NEVER for number in ids}
    last = np.array([register.last_occluded.get(number, unknown[number]) for number in ids], int)
    hidden = _covered_later(evidence, last, visit, config)
    last[hidden | ~evidence.there] = visit.frame_index
    register.last_occluded = dict(zip(ids, last.tolist(), strict=True))
    return [number for number, is_hidden in zip(ids, hidden, strict=True) if is_hidden]


def _covered_later(evidence: Evidence, last: np.ndarray, visit: Visit, config: Sam3VideoConfig) -> Any:
    """Which tracks lie on one that was covered before they were, as far as that is known."""
    close = evidence.track_ious >= config.suppress_overlapping_based_on_recent_occlusion_threshold
    np.fill_diagonal(close, False)
    later = last[:, None] < last if visit.reverse else last[:, None] > last
    return (close & later & (last > _NEVER)).any(1)
