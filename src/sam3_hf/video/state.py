"""State: what is remembered of tracked objects, frame by frame, and for how long.

TrackedFrame + its memory -> FrameMemory -> MemoryBank, which lets go of what no later frame can read
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from transformers.utils import logging

from sam3_hf.ops.rows import on_device

logger: Any = logging.get_logger(__name__)


@dataclass
class FrameMemory:
    """What one frame left behind for K objects.

    Attributes:
        pointers: One vector per object.
        object_score_logits: Whether each object is there.
        features: Where each object was in the image, as later frames read it; `None` once only the pointer is kept.
        masks: Mask logits as they were shown; `None` once they are let go.
        presence: The same as `object_score_logits`, as numbers.
        ious: How well each mask is expected to fit, as numbers.
        reverse: Direction in which the frame was last tracked; `None` if it never was.
    """

    pointers: Float[Tensor, "K C"]
    object_score_logits: Float[Tensor, "K 1"]
    features: Float[Tensor, "K m H W"] | None
    masks: Float[Tensor, "K 1 h w"] | None
    presence: tuple[float, ...]
    ious: tuple[float, ...]
    reverse: bool | None = None

    @cached_property
    def score(self) -> float:
        """How sure this frame is of its objects: mean presence (0 where absent, up to 1) times mean quality."""
        sure = [max(0.0, 2 / (1 + math.exp(-logit)) - 1) for logit in self.presence]
        return sum(sure) / len(sure) * sum(self.ious) / len(self.ious)

    def to(self, device: torch.device | str) -> "FrameMemory":
        """The same, on a device."""
        return replace(self, **{name: part.to(device) for name, part in self.tensors().items()})

    def rows(self, rows: Sequence[int]) -> "FrameMemory":
        """The same, of some of the objects."""
        tensors = {name: part[on_device(rows, part)] for name, part in self.tensors().items()}
        numbers = {name: tuple(getattr(self, name)[row] for row in rows) for name in ("presence", "ious")}
        return replace(self, **tensors, **numbers)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that are kept, by name."""
        parts: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: part for name, part in parts.items() if isinstance(part, Tensor)}


class MemoryLimits(NamedTuple):
    """How much a bank keeps.

    Attributes:
        conditioning: Prompted frames; of more, the one that was prompted first goes.
        recent: Frames last tracked, kept whole. A propagation that turns around, or starts anew nearby, reads these.
        memories: Of older frames, memories of so many that are good enough to be looked at.
        pointers: Of older frames, pointers of so many that are good enough.
        threshold: Score that makes a frame good enough.
    """

    conditioning: int = 32
    recent: int = 16
    memories: int = 6
    pointers: int = 15
    threshold: float = 0.01


# Enough for the released model.
_DEFAULT = MemoryLimits()


@dataclass
class MemoryBank:
    """Memory of K objects that share their frames.

    Attributes:
        objects: How many objects.
        limits: How much is kept; `None` for all.
        conditioning: Frames on which the objects were shown to the model, by number, in the order they were written.
        tracked: The other frames, likewise.
    """

    objects: int = 1
    limits: MemoryLimits | None = _DEFAULT
    conditioning: dict[int, FrameMemory] = field(default_factory=dict)
    tracked: dict[int, FrameMemory] = field(default_factory=dict)

    def get(self, frame_index: int) -> FrameMemory | None:
        """What is known of a frame."""
        return self.conditioning.get(frame_index) or self.tracked.get(frame_index)

    def remember(self, frame_index: int, memory: FrameMemory, conditioning: bool = False) -> None:
        """Keep a frame, in place of what was known of it; let go of what is too much.

        Raises:
            ValueError: The memory is of another number of objects.
        """
        if len(memory.pointers) != self.objects:
            raise ValueError(f"This bank is of {self.objects} object(s); got the memory of {len(memory.pointers)}.")
        self.forget(frame_index)
        (self.conditioning if conditioning else self.tracked)[frame_index] = memory
        self._let_go()

    def forget(self, frame_index: int) -> None:
        """Drop a frame, if it is known."""
        self.conditioning.pop(frame_index, None)
        self.tracked.pop(frame_index, None)

    def downgrade(self, frame_index: int) -> None:
        """Make an ordinary frame of a conditioning frame."""
        self.remember(frame_index, self.conditioning[frame_index])

    def keep(self, rows: Sequence[int]) -> None:
        """Keep some of the objects."""
        self.objects = len(rows)
        for frames in (self.conditioning, self.tracked):
            for frame_index, memory in frames.items():
                frames[frame_index] = memory.rows(rows)

    def scores(self) -> dict[int, float]:
        """The score of every tracked frame."""
        return {frame_index: memory.score for frame_index, memory in self.tracked.items()}

    def to(self, device: torch.device | str) -> "MemoryBank":
        """The same memory on a device."""
        moved = {
            name: {frame_index: memory.to(device) for frame_index, memory in getattr(self, name).items()}
            for name in ("conditioning", "tracked")
        }
        return replace(self, **moved)

    def _let_go(self) -> None:
        """Drop what no later frame can read."""
        if self.limits is None:
            return
        for frame_index in list(self.conditioning)[: -self.limits.conditioning]:
            logger.warning_once("More than %d prompted frames: the first ones are forgotten.", self.limits.conditioning)
            del self.conditioning[frame_index]
        newest_first = list(self.tracked)[::-1]
        good = [index for index in newest_first if self.tracked[index].score > self.limits.threshold]
        for frame_index in newest_first[self.limits.recent :]:
            memory = self.tracked[frame_index]
            if frame_index not in good[: self.limits.pointers]:
                del self.tracked[frame_index]
            else:
                read = frame_index in good[: self.limits.memories]
                self.tracked[frame_index] = replace(memory, features=memory.features if read else None, masks=None)
