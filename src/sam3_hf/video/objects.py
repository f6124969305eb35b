"""One object that is followed: what is remembered of it, and what was said about it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

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
