"""Rehearsal: the tracker is prompted, corrected, and left to follow, as in use; what it said is kept for the loss.

first frame -> click, box or mask -> answer, click where it is wrong, answer, ... -> memory --.
next frame, memory -> answer (now and then corrected too) -> memory --------------------------+-> answers with truth

Every step is the model's own. A row is an object with its own image.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Generator, Tensor, nn

from sam3_hf.losses.tracking import Answer
from sam3_hf.ops.masks import resize_logits
from sam3_hf.tracker.mask_decoder import ImageLevels, ObjectMasks
from sam3_hf.tracker.prompts import Clicks
from sam3_hf.tracker.video_tracker import Hint, TrackedFrame, VideoTracker, held, remembered
from sam3_hf.training.clicks import box_prompt, centre_click, largest_wrong_region, random_click, wrong_region
from sam3_hf.video.memory_selection import Visit
from sam3_hf.video.state import MemoryBank


@dataclass(frozen=True)
class RehearsalPlan:
    """How the tracker is prompted. Shares are 0..1; what is drawn holds for all objects of a batch.

    Args:
        steps: Answers on a frame that is prompted or corrected; each after the first follows a click.
        mask_share: Clips that start from a mask, which is then neither answered nor corrected.
        box_share: Of the others, and of stills, those that start from a box; the rest start from a click.
        corrected_frames: Frames of a clip that are corrected, at most; the first one always is, unless it had a mask.
        truth_share: Corrections that are a click anywhere on the object instead of where the answer is wrong.
        centre_share: Clicks in the middle of the object, or of the largest wrong piece, instead of anywhere.
        memory_share: Corrected frames on which the answers look at the memory too.
        gradient_frames: Frames that a gradient goes back through memory, at most.

    Raises:
        ValueError: A share or a number out of range.
    """

    steps: int = 7
    mask_share: float = 0.5
    box_share: float = 0.5
    corrected_frames: int = 2
    truth_share: float = 0.1
    centre_share: float = 0.25
    memory_share: float = 0.5
    gradient_frames: int = 8

    def __post_init__(self) -> None:
        """Refuse what cannot be played."""
        for name in ("mask_share", "box_share", "truth_share", "centre_share", "memory_share"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} is a share, 0 to 1; got {value}.")
        for name in ("steps", "corrected_frames", "gradient_frames"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be 1 or more; got {value}.")


class Rehearsal:
    """One batch of objects, from the first frame to the last.

    Args:
        tracker: The model.
        plan: How it is prompted.
        truth: What is there, frame by frame; every object is seen on the first one.
        chance: What is left to chance.
    """

    def __init__(
        self, tracker: VideoTracker, plan: RehearsalPlan, truth: Bool[Tensor, "R T H W"], chance: Generator
    ) -> None:
        self.tracker = tracker
        self.plan = plan
        self.truth = truth.unbind(1)
        self.chance = chance
        self.bank = MemoryBank(len(truth), limits=None)
        # A long video, or one as short as it is: pointers are told how long ago they were made relative to its length.
        self.num_frames = len(self.truth) if self._happens(0.5) else None

    def run(self, frames: Sequence[ImageLevels]) -> list[Answer]:
        """All answers that can be judged; `frames` have one row per object."""
        is_shown = len(frames) > 1 and self._happens(self.plan.mask_share)
        corrected = set() if is_shown else {0, *self._others(len(frames))}
        said: list[Answer] = []
        for number, image in enumerate(frames):
            if number == 0 and is_shown:
                seen = self.tracker.prompt_with_mask(image, self.truth[0].unsqueeze(1))
            else:
                with overheard(self.tracker.mask_decoder) as heard:
                    seen = self._answer(image, number, number in corrected)
                said += [_judged(answer, self.truth[number]) for answer in heard]
            if number + 1 < len(frames):
                self._remember(image, number, seen, number == 0 or number in corrected)
        return said

    def _answer(self, image: ImageLevels, number: int, is_corrected: bool) -> TrackedFrame:
        """The frame as it is first understood, and then with one more click after the other."""
        side = self.tracker.side_of(image)
        if number == 0:
            clicks, remind = self._first_prompt(side), False
            seen = self.tracker.prompt_with_clicks(image, Hint(clicks))
        else:
            clicks, remind = (
                Clicks.none(len(image.patches), image.patches.device),
                self._happens(self.plan.memory_share),
            )
            seen = self._look(image, number)
        for _ in range(self.plan.steps - 1 if is_corrected else 0):
            previous = held(seen.masks.detach())
            clicks = clicks.then(self._correction(previous, number, side))
            hint = Hint(clicks, previous)
            seen = self._look(image, number, hint) if remind else self.tracker.prompt_with_clicks(image, hint)
        return seen

    def _look(self, image: ImageLevels, number: int, hint: Hint | None = None) -> TrackedFrame:
        """The frame, with what is remembered."""
        visit = Visit(number, num_frames=self.num_frames)
        # Rows of a batch are objects of different videos, so none may spoil a frame for the others.
        good = dict.fromkeys(self.bank.tracked, 1.0)
        return self.tracker.step(image, [self.bank], visit, hint, [good])

    def _first_prompt(self, side: int) -> Clicks:
        truth = self.truth[0]
        if self._happens(self.plan.box_share):
            return box_prompt(truth, side, self.chance)
        if self._happens(self.plan.centre_share):
            return centre_click(truth, truth, side)
        return random_click(truth, truth, side, self.chance)

    def _correction(self, previous: Tensor, number: int, side: int) -> Clicks:
        truth = self.truth[number]
        size = (truth.shape[1], truth.shape[2])
        found = resize_logits(previous[:, 0], size) > 0
        if self._happens(self.plan.truth_share):
            return random_click(wrong_region(truth, truth), truth, side, self.chance)
        if self._happens(self.plan.centre_share):
            return centre_click(largest_wrong_region(truth, found), truth, side)
        return random_click(wrong_region(truth, found), truth, side, self.chance)

    def _remember(self, image: ImageLevels, number: int, seen: TrackedFrame, conditioning: bool) -> None:
        """The frame joins the memory; what is long ago teaches no more."""
        # Also where objects were pointed at, the mask is remembered as probabilities, as in SAM 2's training; in use it
        # is remembered as yes or no, through which no gradient would come.
        features = self.tracker.memorize(image, seen.masks, seen.object_score_logits)
        (memory,) = remembered(seen, features, [len(features)], features.dtype)
        self.bank.remember(number, memory, conditioning)
        old = self.bank.get(number + 1 - self.plan.gradient_frames)
        if old is not None and old.features is not None:
            old.features, old.pointers = old.features.detach(), old.pointers.detach()

    def _others(self, frames: int) -> list[int]:
        """Frames after the first that are corrected."""
        most = min(self.plan.corrected_frames, frames) - 1
        count = int(torch.randint(most + 1, (), generator=self.chance))
        return (1 + torch.randperm(frames - 1, generator=self.chance)[:count]).tolist()

    def _happens(self, share: float) -> bool:
        return bool(torch.rand((), generator=self.chance) < share)


def _judged(said: ObjectMasks, truth: Bool[Tensor, "R H W"]) -> Answer:
    return Answer(said.logits, said.iou_scores, said.object_score_logits, truth)


@contextmanager
def overheard(part: nn.Module) -> Iterator[list[Any]]:
    """Inside the block, everything that a part of a model says: of the decoder all masks, not only the best."""
    said: list[Any] = []
    hook: Any = lambda module, inputs, output: said.append(output)  # noqa: E731
    handle = part.register_forward_hook(hook)
    try:
        yield said
    finally:
        handle.remove()
