"""Planning: everything that is decided about a frame, in the order it is decided.

Evidence -> association -> object limit -> new ids -> hotstart -> reconditioning -> occlusion -> confirmation -> Plan
"""

from typing import NamedTuple

import numpy as np

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.video.association import Association, associate
from sam3_hf.video.confirmation import unconfirmed
from sam3_hf.video.evidence import Evidence
from sam3_hf.video.hotstart import judge
from sam3_hf.video.memory_selection import Visit
from sam3_hf.video.occlusion import hide_recently_occluded
from sam3_hf.video.reconditioning import Reconditioning, choose_reconditioning
from sam3_hf.video.register import Register


class Plan(NamedTuple):
    """What is to be done on a frame. Tracks by id, detections by number.

    Attributes:
        found: Which detection is which track.
        born: Detections by the id of the new object they become.
        left_out: New detections for which there is no room.
        removed: Ids that go for good.
        hidden: Ids that are followed, but not shown on this frame.
        reconditioning: Tracks that start anew.
        erased: Ids whose mask is emptied, in memory and in the output.
        unconfirmed: Ids that confirmation mode has not confirmed yet.
        ids: All objects after this frame.
        track_scores: How sure the tracker is of each track.
    """

    found: Association
    born: dict[int, int]
    left_out: int
    removed: list[int]
    hidden: list[int]
    reconditioning: Reconditioning
    erased: list[int]
    unconfirmed: list[int]
    ids: list[int]
    track_scores: list[float]


def plan_frame(register: Register, evidence: Evidence, visit: Visit, config: Sam3VideoConfig) -> Plan:
    """Decide, and bring the register up to date."""
    found = associate(evidence, config)
    new = _within_limit(found.new, evidence, config.max_num_objects)
    born = {register.add(float(evidence.scores[d]), int(evidence.phrases[d])): d for d in new}
    verdict = judge(register, found, list(born), visit, config)
    reconditioning = choose_reconditioning(found, evidence, visit.frame_index, config)
    erased = hide_recently_occluded(register, evidence, verdict.removed, visit, config)
    ids = [number for number in [*evidence.track_ids, *born] if number not in verdict.removed]
    return Plan(
        found=found,
        born=born,
        left_out=len(found.new) - len(new),
        removed=verdict.removed,
        hidden=verdict.hidden,
        reconditioning=reconditioning,
        erased=erased,
        unconfirmed=unconfirmed(register, found, ids, config),
        ids=ids,
        track_scores=(1 / (1 + np.exp(-evidence.track_logits))).tolist(),
    )


def _within_limit(new: list[int], evidence: Evidence, limit: int) -> list[int]:
    """All new detections, or the best of them if there would be too many objects; best first then."""
    room = max(0, limit - len(evidence.track_ids))
    if len(new) <= room:
        return new
    return sorted(new, key=lambda detection: -evidence.scores[detection])[:room]
