"""Examples to train with, in memory."""

import numpy as np
from PIL import Image

from sam3_hf.datasets.examples import ImageExample, PromptExample

NOTHING = np.zeros((0, 4), np.float32)


def squares(count: int, side: int = 90, masks: bool = True) -> list[ImageExample]:
    """Grey images with one red square each; asked for red and, in vain, for blue."""
    chance = np.random.default_rng(0)
    examples = []
    for number in range(count):
        x, y, length = (int(value) for value in chance.integers((0, 0, 20), (40, 40, 50)))
        pixels = np.full((side, side, 3), 120, dtype=np.uint8)
        mask = np.zeros((1, side, side), dtype=bool)
        mask[0, y : y + length, x : x + length] = True
        pixels[mask[0]] = (230, 20, 20)
        box = np.array([[x, y, x + length, y + length]], np.float32)
        red = PromptExample("red square", box, mask if masks else None)
        blue = PromptExample("blue square", NOTHING, mask[:0] if masks else None)
        examples.append(ImageExample(Image.fromarray(pixels), (red, blue), number))
    return examples
