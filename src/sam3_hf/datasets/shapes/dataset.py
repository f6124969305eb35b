"""Pictures of shapes as a dataset: the same seed and number give the same example everywhere.

seed, number -> scene -> prompts -> ImageExample
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.datasets.shapes.chance import between, generator, happens, pick
from sam3_hf.datasets.shapes.prompts import EXAMPLES_SHARE, Ask, any_asks
from sam3_hf.datasets.shapes.scene import Scene, build_scene

_ASPECTS = (1.0, 1.0, 5 / 4, 4 / 3, 3 / 2)
_SIDES = (192, 640)
_LEAST_SIDE = 64


@dataclass(frozen=True)
class ShapesDataset:
    """Scenes of coloured shapes with phrases and example boxes, drawn as they are asked for.

    Figures are of the same kind, which is what example boxes ask for, if they share colour and shape; a "not like this"
    box rules out its kind. Two seeds share no scene.

    Args:
        seed: 0 or more.
        length: Number of scenes.
        prompts_per_image: As many prompts for each.
        image_side: Length of the longer side in pixels; without it, each image has a size of its own.
        easy: Share of scenes with a few plain figures drawn tidily, for the first lessons.
        examples_share: Share of prompts that are example boxes.
    """

    seed: int
    length: int
    prompts_per_image: int = 8
    image_side: int | None = None
    easy: float = 0.0
    examples_share: float = EXAMPLES_SHARE

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_numbers(self.seed, self.length, self.prompts_per_image, self.image_side)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> ImageExample:
        return self.example(*self.scene(index), index % self.length)

    @staticmethod
    def example(scene: Scene, asks: tuple[Ask, ...], image_id: int) -> ImageExample:
        """A scene with prompts for it, these or others, as an example."""
        masks, boxes = scene.masks, boxes_of(scene)
        prompts = tuple(_prompt(ask, masks, boxes) for ask in asks)
        return ImageExample(Image.fromarray(scene.pixels), prompts, image_id)

    def scene(self, index: int) -> tuple[Scene, tuple[Ask, ...]]:
        """What an example is made of: every figure, and prompts that say which of them they mean."""
        if not -self.length <= index < self.length:
            raise IndexError(f"No scene {index} among {self.length}.")
        rng = generator(self.seed, index % self.length)
        size = any_size(rng, self.image_side)
        scene = build_scene(rng, size, is_easy=self.easy > 0 and happens(rng, self.easy))
        return scene, any_asks(rng, scene.cast, self.prompts_per_image, self.examples_share)


def check_numbers(seed: int, length: int, prompts: int, image_side: int | None) -> None:
    """Whether scenes can be drawn of these numbers."""
    if seed < 0 or length < 0 or prompts < 1:
        raise ValueError(
            "Pass a seed and a length of 0 or more, and ask for at least one prompt; got "
            f"seed {seed}, length {length}, {prompts} prompts."
        )
    if image_side is not None and image_side < _LEAST_SIDE:
        raise ValueError(f"image_side is {image_side}; shapes need at least {_LEAST_SIDE} pixels.")


def any_size(rng: np.random.Generator, longer: int | None) -> tuple[int, int]:
    """Some (height, width)."""
    if longer is None:
        longer = round(_SIDES[0] * (_SIDES[1] / _SIDES[0]) ** between(rng, 0, 1))
    shorter = round(longer / pick(rng, _ASPECTS))
    return pick(rng, ((shorter, longer), (longer, shorter)))


def boxes_of(scene: Scene) -> Float[np.ndarray, "n 4"]:
    """The box around what is seen of each figure, x1, y1, x2, y2 in pixels."""
    boxes = np.zeros((len(scene.figures), 4), np.float32)
    for i, mask in enumerate(scene.masks):
        y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        boxes[i] = x[0], y[0], x[-1] + 1, y[-1] + 1
    return boxes


def _prompt(ask: Ask, masks: Bool[np.ndarray, "n H W"], boxes: Float[np.ndarray, "n 4"]) -> PromptExample:
    targets, examples = np.asarray(ask.targets, np.int64), np.asarray(ask.examples, np.int64)
    return PromptExample(
        text=ask.text,
        boxes_xyxy_px=boxes[targets],
        masks=masks[targets],
        example_boxes_xyxy_px=boxes[examples],
        example_labels=np.asarray(ask.labels, np.int64),
    )
