"""Hotstart: objects that the detector does not bear out in their first frames are removed; later ones may be hidden.

Association of a frame + Register -> the Register brought up to date, ids to remove, ids to hide on this frame
"""

from itertools import chain
from typing import NamedTuple

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.video.association import Association
from sam3_hf.video.memory_selection import Visit
from sam3_hf.video.register import Register


class Verdict(NamedTuple):
    """Ids that go for good, and ids that are not shown on this frame."""

    removed: list[int]
    hidden: list[int]


def judge(register: Register, found: Association, new_ids: list[int], visit: Visit, config: Sam3VideoConfig) -> Verdict:
    """Count matches and misses, then decide."""
    _count(register, found, new_ids, visit, config)
    removed = _never_seen(register, visit, config)
    hidden = _worn_out(register, removed, config)
    _note_shared(register, found, visit)
    removed += _doubles(register, removed, visit, config)
    register.removed.update(removed)
    register.score.update(dict.fromkeys(removed, _REMOVED_SCORE))
    return Verdict(removed, hidden)


# What stands in the register for an object that was removed.
_REMOVED_SCORE = -1e4


def _count(register: Register, found: Association, new_ids: list[int], visit: Visit, config: Sam3VideoConfig) -> None:
    """Every match makes an object live longer, every miss shorter."""
    for number in new_ids:
        register.first_frame[number] = visit.frame_index
        register.keep_alive[number] = config.init_trk_keep_alive
    for number in set(chain.from_iterable(found.matches.values())):
        register.keep_alive[number] = min(config.max_trk_keep_alive, register.keep_alive.get(number, 0) + 1)
    for number in found.unmatched:
        register.unmatched_frames.setdefault(number, []).append(visit.frame_index)
    fading = found.empty if config.decrease_trk_keep_alive_for_empty_masklets else []
    for number in chain(found.unmatched, fading):
        register.keep_alive[number] = max(config.min_trk_keep_alive, register.keep_alive.get(number, 0) - 1)


def _never_seen(register: Register, visit: Visit, config: Sam3VideoConfig) -> list[int]:
    """Young objects that were missed on too many frames, whether in a row or not."""
    return [
        number
        for number, frames in register.unmatched_frames.items()
        if len(frames) >= config.hotstart_unmatch_thresh and _young(register, number, visit, config)
    ]


def _worn_out(register: Register, removed: list[int], config: Sam3VideoConfig) -> list[int]:
    """Objects that were missed more often than found, if these are to be hidden at any age."""
    if config.suppress_unmatched_only_within_hotstart:
        return []
    spared = register.removed.union(removed, register.trusted)
    return [number for number in register.unmatched_frames if number not in spared and register.keep_alive[number] <= 0]


def _note_shared(register: Register, found: Association, visit: Visit) -> None:
    """Where a detection lies on several objects, all but the first-born are noted as doubles of that one."""
    for numbers in found.matches.values():
        if len(numbers) < 2:
            continue
        oldest = (max if visit.reverse else min)(numbers, key=lambda number: register.first_frame.get(number, -1))
        for number in numbers:
            if number != oldest:
                register.shared_frames.setdefault((oldest, number), []).append(visit.frame_index)


def _doubles(register: Register, removed: list[int], visit: Visit, config: Sam3VideoConfig) -> list[int]:
    """Young objects that lay under the same detection as an older one too often."""
    doubles = [
        number
        for (_, number), frames in register.shared_frames.items()
        if len(frames) >= config.hotstart_dup_thresh and _young(register, number, visit, config)
    ]
    return [number for number in dict.fromkeys(doubles) if number not in removed]


def _young(register: Register, number: int, visit: Visit, config: Sam3VideoConfig) -> bool:
    """Whether an object may still be removed."""
    if number in register.removed or number in register.trusted or number not in register.first_frame:
        return False
    return visit.since(register.first_frame[number]) < config.hotstart_delay
