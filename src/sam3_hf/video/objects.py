"""One object that is followed: what is remembered of it, and what was said about it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from jaxtyping import Float
from torch import Tensor

from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.state import FrameMemory, MemoryBank


@dataclass
class FollowedObject:
    """One object.

    Attributes:
        bank: What is remembered of it.
        prompts: What was said about it, by frame.
        pending: Frames whose prompt waits for an answer.
    """

    bank: MemoryBank = field(default_factory=MemoryBank)
    prompts: dict[int, ObjectPrompt] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)

    def let_go(self) -> None:
        """Keep prompts that wait, and points on conditioning frames; masks that were answered are not read again."""
        kept = {number for number in self.bank.conditioning if number in self.prompts}
        kept = {number for number in kept if self.prompts[number].mask is None} | self.pending
        self.prompts = {number: prompt for number, prompt in self.prompts.items() if number in kept}


def joint_score(memories: Iterable[FrameMemory]) -> float:
    """The score of a frame, as if all objects were of one bank."""
    known = list(memories)
    presence = tuple(value for memory in known for value in memory.presence)
    return replace(known[0], presence=presence, ious=tuple(value for each in known for value in each.ious)).score


def joint_scores(objects: Iterable[FollowedObject]) -> dict[int, float]:
    """The score of every tracked frame, of all objects together."""
    frames: dict[int, list[FrameMemory]] = {}
    for each in objects:
        for frame_index, memory in each.bank.tracked.items():
            frames.setdefault(frame_index, []).append(memory)
    return {frame_index: joint_score(memories) for frame_index, memories in frames.items()}


def cut_out(mask: Float[Tensor, "1 h w"], frame_index: int, others: Iterable[FollowedObject]) -> None:
    """Masks of other objects that wait on this frame give up what belongs to this one."""
    for each in others:
        prompt = each.prompts.get(frame_index)
        if frame_index in each.pending and prompt is not None and prompt.mask is not None:
            each.prompts[frame_index] = replace(prompt, mask=prompt.mask * (mask == 0))
