"""Pictures drawn by scikit-image, with nothing of the package's own generator in them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from skimage import draw

COLOURS = {"red": (214, 40, 40), "blue": (30, 80, 200), "green": (40, 150, 60), "yellow": (250, 220, 40)}


class Drawn(NamedTuple):
    """A picture and the pixels of its figures, by phrase, in the order in which they were placed."""

    image: Image.Image
    masks: dict[str, list[np.ndarray]]


def outline(shape: str, y: float, x: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a figure's corners, or of many points of a circle."""
    corners = {"circle": 90, "square": 4, "triangle": 3, "star": 10}[shape]
    turns = np.arange(corners) * 2 * math.pi / corners - (math.pi / 4 if shape == "square" else math.pi / 2)
    lengths = np.where(np.arange(corners) % 2, 0.45, 1.0) * radius if shape == "star" else np.full(corners, radius)
    return y + lengths * np.sin(turns), x + lengths * np.cos(turns)


# Phrase, and centre from above and from the left as shares of the sides, and radius as a share of the height.
PAPER = (
    ("red circle", 0.27, 0.18, 0.13),
    ("blue circle", 0.72, 0.2, 0.15),
    ("green square", 0.3, 0.5, 0.18),
    ("green square", 0.75, 0.8, 0.14),
    ("yellow star", 0.73, 0.5, 0.2),
    ("blue triangle", 0.35, 0.83, 0.2),
)


Placed = tuple[str, float, float, float]


def figures_on_paper(
    height: int = 360,
    width: int = 480,
    ground: tuple[int, int, int] = (245, 243, 238),
    figures: Sequence[Placed] = PAPER,
) -> Drawn:
    """Figures far apart, six if not told otherwise."""
    pixels = np.full((height, width, 3), ground, np.uint8)
    masks: dict[str, list[np.ndarray]] = {}
    for phrase, y, x, radius in figures:
        colour, shape = phrase.split()
        rows, columns = draw.polygon(*outline(shape, y * height, x * width, radius * height), (height, width))
        pixels[rows, columns] = COLOURS[colour]
        mask = np.zeros((height, width), bool)
        mask[rows, columns] = True
        masks.setdefault(phrase, []).append(mask)
    return Drawn(Image.fromarray(pixels), masks)


def film_on_paper(frames: int) -> list[Drawn]:
    """A red circle goes to the right, a blue one to the left, and a green square stays."""
    times = [number / (frames - 1) for number in range(frames)]
    return [
        figures_on_paper(
            figures=(
                ("red circle", 0.25, 0.15 + 0.6 * time, 0.14),
                ("blue circle", 0.75, 0.85 - 0.6 * time, 0.14),
                ("green square", 0.5, 0.5, 0.1),
            )
        )
        for time in times
    ]
