"""Memory selection: which earlier frames a frame looks at.

MemoryBank + Visit -> Recalled: memories with their age, pointers with their distance
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig
from sam3_hf.video.state import FrameMemory, MemoryBank, MemoryLimits


class Visit(NamedTuple):
    """A frame that is looked at: its number, the direction, and how many frames there are, if that is known."""

    frame_index: int
    reverse: bool = False
    num_frames: int | None = None

    def since(self, frame_index: int) -> int:
        """How many frames ago that frame was; negative if it is still to come."""
        return frame_index - self.frame_index if self.reverse else self.frame_index - frame_index

    def before(self, distance: int) -> int:
        """The frame that was so many frames ago."""
        return self.frame_index + distance if self.reverse else self.frame_index - distance


class Recalled(NamedTuple):
    """What a frame looks at.

    Attributes:
        memories: Frames whose memory is read.
        ages: For each, its row in the table of ages: the last one for conditioning frames, 0 for the newest other.
        pointing: Frames whose pointers are read.
        distances: How long ago each of these was.
        span: The distance that counts as one.
    """

    memories: list[FrameMemory]
    ages: list[int]
    pointing: list[FrameMemory]
    distances: list[int]
    span: int


def limits_of(config: Sam3TrackerVideoConfig) -> MemoryLimits:
    """How much a bank has to keep so that every frame finds what this configuration lets it look at."""
    pointers = config.max_object_pointers_in_encoder
    threshold = config.memory_selection_threshold if config.use_memory_selection else float("inf")
    return MemoryLimits(
        recent=max(pointers, config.num_maskmem), memories=config.num_maskmem - 1, pointers=pointers - 1,
        threshold=float(threshold),
    )  # fmt: skip


def recall(
    bank: MemoryBank, visit: Visit, config: Sam3TrackerVideoConfig, scores: Mapping[int, float] | None = None
) -> Recalled:
    """What the objects of a bank look at on a frame.

    Args:
        bank: Their memory.
        visit: The frame.
        config: How many frames are looked at.
        scores: Scores of tracked frames; those of the bank if not given.
    """
    chosen = closest(bank.conditioning, visit.frame_index, config.max_cond_frame_num)
    others = {index: memory for index, memory in bank.conditioning.items() if index not in chosen} | bank.tracked
    most = config.max_object_pointers_in_encoder
    span = (most if visit.num_frames is None else min(visit.num_frames, most)) - 1
    ranked, pointed = _ranked(bank.scores() if scores is None else scores, visit, config, span)
    older = [(others[index], rank) for rank, index in enumerate(ranked[: config.num_maskmem - 1]) if index in others]
    read = [(bank.conditioning[index], config.num_maskmem - 1) for index in chosen]
    read += [(memory, rank) for memory, rank in reversed(older) if memory.features is not None]
    pointing = [(bank.conditioning[index], visit.since(index)) for index in chosen if visit.since(index) >= 0]
    pointing += [(others[index], rank) for rank, index in enumerate(pointed, 1) if index in others]
    memories, ages = [memory for memory, _ in read], [age for _, age in read]
    return Recalled(memories, ages, [memory for memory, _ in pointing], [distance for _, distance in pointing], span)


def _ranked(
    scores: Mapping[int, float], visit: Visit, config: Sam3TrackerVideoConfig, span: int
) -> tuple[list[int], list[int]]:
    """Earlier frames, newest first: whose memories are read, and whose pointers."""
    if not config.use_memory_selection:
        ranked = [visit.before(distance) for distance in range(1, max(span, config.num_maskmem - 1) + 1)]
        return ranked, ranked[:span]
    ranked = good_frames(scores, visit, config.memory_selection_threshold, span)
    # Parity: the oldest of the good frames gives no pointer.
    return ranked, ranked[: min(span, max(len(ranked) - 1, 0))]


def closest(frames: Iterable[int], frame_index: int, most: int) -> list[int]:
    """At most so many frames: the nearest before, the nearest that is not, then whatever is near."""
    frames = list(frames)
    if len(frames) <= most:
        return frames
    before = [max((index for index in frames if index < frame_index), default=None)]
    after = [min((index for index in frames if index >= frame_index), default=None)]
    sides = [index for index in before + after if index is not None]
    rest = sorted((index for index in frames if index not in sides), key=lambda index: abs(index - frame_index))
    return [*sides, *rest][:most]


def good_frames(scores: Mapping[int, float], visit: Visit, threshold: float | int, most: int) -> list[int]:
    """Tracked frames that are good enough to be looked at, newest first; and the frame just before, good or not."""
    last = None if visit.num_frames is None else visit.num_frames - 1
    if visit.frame_index == (last if visit.reverse else 0):
        return []
    # Parity: the first frame of the video is never among them.
    passed = sorted((index for index in scores if index > 0 or visit.reverse), key=visit.since)
    good = [index for index in passed if visit.since(index) > 0 and scores[index] > threshold][:most]
    neighbour = visit.before(1)
    return good if neighbour in good else [neighbour, *good]
