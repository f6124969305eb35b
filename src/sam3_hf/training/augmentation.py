"""Augmentation: the same example, shown differently in every epoch, and the same again in a repeated run.

example -> prompts chosen -> example boxes drawn and shaken -> resized, put somewhere on a black square -> example
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import Dataset

from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.training.labels import resize_masks

# Sides of the original, relative to its square of 1008 pixels.
_STEP, _FIRST, _LAST = 32 / 1008, 15, 31
# Shaken boxes move by this share of their side, and by no more than so many pixels.
_SHAKE, _FARTHEST = 0.1, 20.0
_VISUAL = "visual"


@dataclass(frozen=True)
class Augmentation:
    """What is changed, and how often; the defaults are those of the original's fine-tuning.

    Args:
        side: Side of the model's square input in pixels.
        resize: Resize to a random square of 480 to 992 parts in 1008 of `side`, anywhere on black.
        negatives: Keep so many prompts without objects, chosen at random; all of them if not given.
        most_objects: Leave out prompts with more objects.
        visual_probability: How often a prompt with objects and without example boxes gets one of the objects as such.
        keep_text: Whether such a prompt keeps its text; otherwise it is "visual".
        shake_boxes: Whether example boxes are moved a little.
    """

    side: int
    resize: bool = True
    negatives: int | None = None
    most_objects: int = 200
    visual_probability: float = 0.0
    keep_text: bool = True
    shake_boxes: bool = False

    def __call__(self, example: ImageExample, chance: np.random.Generator) -> ImageExample:
        """Another look at an example; `chance` decides."""
        prompts = self._choose(example.prompts, chance)
        prompts = [self._show(prompt, chance) for prompt in prompts]
        if self.shake_boxes:
            prompts = [_shaken(prompt, example.image.size, chance) for prompt in prompts]
        example = replace(example, prompts=tuple(prompts))
        return self._place(example, chance) if self.resize else example

    def _choose(self, prompts: Sequence[PromptExample], chance: np.random.Generator) -> list[PromptExample]:
        """All prompts with objects and some without, in their order; the first one if that leaves none."""
        usable = [place for place, prompt in enumerate(prompts) if len(prompt.boxes_xyxy_px) <= self.most_objects]
        negative = [place for place in usable if not len(prompts[place].boxes_xyxy_px)]
        if self.negatives is not None and len(negative) > self.negatives:
            kept = set(chance.choice(negative, self.negatives, replace=False).tolist())
            usable = [place for place in usable if place not in negative or place in kept]
        return [prompts[place] for place in usable or negative[:1] or [0]]

    def _show(self, prompt: PromptExample, chance: np.random.Generator) -> PromptExample:
        """Perhaps one of the objects as an example."""
        drawn = chance.random() < self.visual_probability
        if not drawn or not len(prompt.boxes_xyxy_px) or len(prompt.example_boxes_xyxy_px):
            return prompt
        place = int(chance.integers(len(prompt.boxes_xyxy_px)))
        box = np.asarray(prompt.boxes_xyxy_px[place : place + 1], dtype=np.float32)
        text = prompt.text if self.keep_text else _VISUAL
        return replace(prompt, text=text, example_boxes_xyxy_px=box, example_labels=np.ones(1, np.int64))

    def _place(self, example: ImageExample, chance: np.random.Generator) -> ImageExample:
        """Resize to a square, and put that somewhere on a black one of the model's size."""
        side = round(int(chance.integers(_FIRST, _LAST + 1)) * _STEP * self.side)
        left, top = (int(chance.integers(self.side - side + 1)) for _ in range(2))
        canvas = Image.new("RGB", (self.side, self.side))
        canvas.paste(_resized(example.image, side), (left, top))
        scale = np.array([side / example.image.width, side / example.image.height] * 2)
        offset = np.array([left, top] * 2)

        def moved(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
            return (boxes * scale + offset).astype(np.float32)

        def placed(prompt: PromptExample) -> PromptExample:
            masks = None
            if prompt.masks is not None:
                masks = np.zeros((len(prompt.masks), self.side, self.side), dtype=bool)
                small = resize_masks(torch.from_numpy(prompt.masks), (side, side))
                masks[:, top : top + side, left : left + side] = small.numpy()
            boxes, examples = moved(prompt.boxes_xyxy_px), moved(prompt.example_boxes_xyxy_px)
            return replace(prompt, boxes_xyxy_px=boxes, masks=masks, example_boxes_xyxy_px=examples)

        return replace(example, image=canvas, prompts=tuple(map(placed, example.prompts)))


class AugmentedExamples(Dataset):
    """A dataset whose examples look different in every epoch.

    What happens to an example depends on the seed, the epoch and its place alone, so that a resumed run sees what an
    unbroken one would have seen.

    Args:
        examples: Dataset of `ImageExample`.
        augmentation: What is done to them.
        seed: Another seed gives other looks.
    """

    def __init__(self, examples: Sequence[ImageExample] | Dataset, augmentation: Augmentation, seed: int = 123) -> None:
        self.examples = examples
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.examples)  # pyright: ignore[reportArgumentType]

    def __getitem__(self, index: int) -> ImageExample:
        """The example's look in this epoch."""
        return self.augmentation(self.examples[index], np.random.default_rng((self.seed, self.epoch, index)))

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer when an epoch begins."""
        self.epoch = epoch


def _resized(image: Image.Image, side: int) -> Image.Image:
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]
    small = F.interpolate(pixels, (side, side), mode="bilinear", antialias=True)[0]
    return Image.fromarray(small.permute(1, 2, 0).numpy())


def _shaken(prompt: PromptExample, size: tuple[int, int], chance: np.random.Generator) -> PromptExample:
    """Every corner of the example boxes moved a little; a box that would vanish stays."""
    boxes = prompt.example_boxes_xyxy_px
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    noise = (chance.standard_normal(boxes.shape) * _SHAKE * sides).clip(-_FARTHEST, _FARTHEST)
    moved = (boxes + noise).clip(0, np.tile(size, 2))
    whole = (moved[:, 2:] > moved[:, :2]).all(axis=1, keepdims=True)
    return replace(prompt, example_boxes_xyxy_px=np.where(whole, moved, boxes).astype(np.float32))
