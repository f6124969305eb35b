"""A scene: figures on a background, and which pixel is whose.

generator, size -> background -> figure after figure: placed, seen well enough, painted -> Scene
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from sam3_hf.datasets.shapes.backgrounds import paint_background
from sam3_hf.datasets.shapes.chance import between, happens
from sam3_hf.datasets.shapes.degradations import any_harm, harmed
from sam3_hf.datasets.shapes.figures import Figure, Stamp, lay, paint, windows, with_visible_edge
from sam3_hf.datasets.shapes.phrases import Cast
from sam3_hf.datasets.shapes.plans import any_manner, any_wishes, easy_wishes, figure_for

# A figure of which less is seen may be taken for another shape.
LEAST_VISIBLE = 0.55
_ATTEMPTS = 20


class Scene(NamedTuple):
    """A picture and its truth.

    Args:
        pixels: RGB.
        figures: From back to front.
        ids: Per pixel the number of the figure that is seen there, counted from 1; 0 is background.
        has_regions: Whether the background has patches that someone might call objects.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    figures: tuple[Figure, ...]
    ids: UInt8[np.ndarray, "H W"]
    has_regions: bool

    @property
    def cast(self) -> Cast:
        """What phrases speak of."""
        return Cast(self.figures, self.has_regions)

    @property
    def masks(self) -> Bool[np.ndarray, "n H W"]:
        """Visible pixels of each figure."""
        return self.ids == np.arange(1, len(self.figures) + 1, dtype=np.uint8)[:, None, None]


def build_scene(rng: np.random.Generator, size: tuple[int, int], is_easy: bool = False) -> Scene:
    """Some scene of this size (height, width); an easy one shows few plain figures, drawn tidily."""
    is_tidy = is_easy or happens(rng, 0.2)
    wishes = easy_wishes(rng) if is_easy else any_wishes(rng)
    background = paint_background(rng, size, is_tidy, is_empty=not wishes)
    canvas, table = background.pixels, Table(size, may_overlap=happens(rng, 0.65))
    manner = any_manner(rng, is_tidy)
    figures = []
    for wish in wishes:
        figure = figure_for(rng, wish, min(size), manner)
        stamp = _find_place(rng, figure, table)
        if stamp is not None:
            figures.append(with_visible_edge(figure, stamp, canvas))
            paint(figures[-1], stamp, canvas)
    pixels = np.clip(canvas, 0, 255).astype(np.uint8) if is_tidy else harmed(rng, canvas, any_harm(rng))
    return Scene(pixels, tuple(figures), table.ids, background.has_regions)


class Table:
    """Where figures lie, each on top of those before, and how much of each is seen."""

    def __init__(self, size: tuple[int, int], may_overlap: bool) -> None:
        self.ids = np.zeros(size, np.uint8)
        self._may_overlap = may_overlap
        self._least: list[float] = [0.0]
        self._visible: list[int] = [0]

    def add(self, stamp: Stamp) -> bool:
        """Lay the figure there, unless it or one below could no longer be recognized."""
        there, part = windows(stamp, self.ids.shape)  # pyright: ignore[reportArgumentType]
        ids, solid = self.ids[there], stamp.solid[part]
        least, visible = LEAST_VISIBLE * int(stamp.solid.sum()), int(solid.sum())
        if not self._may_overlap and ids[stamp.distance[part] < 3].any():
            return False
        covered = np.bincount(ids[solid], minlength=len(self._visible))
        covered[0] = 0
        left = np.asarray(self._visible) - covered
        if visible < least or (left < self._least).any():
            return False
        ids[solid] = len(self._visible)
        self._visible = [*left.tolist(), visible]
        self._least.append(least)
        return True


def _find_place(rng: np.random.Generator, figure: Figure, table: Table) -> Stamp | None:
    """A place where the figure can be recognized, and hides none; `None` where there seems to be none."""
    height, width = table.ids.shape
    stamp = lay(figure, (0.5, 0.5))
    for _ in range(_ATTEMPTS):
        margin = figure.radius * (0.6 if happens(rng, 0.12) else 1.15)
        x, y = (int(between(rng, margin, side - margin)) for side in (width, height))
        moved = stamp._replace(corner=(stamp.corner[0] + x, stamp.corner[1] + y))
        if table.add(moved):
            return moved
    return None
