"""Shapes as distance fields: how far each point is outside (negative: inside) of a shape of about radius 1.

u, v [H, W] -> distance [H, W]; y points down
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Grid = Float[np.ndarray, "H W"]
# Two numbers in 0..1 that vary a shape: how sharp a star is, how thick a ring.
Proportions = tuple[float, float]

MAIN_SHAPES = ("circle", "square", "triangle", "star")
OTHER_SHAPES = ("hexagon", "ring", "cross", "heart", "crescent")
SHAPES = MAIN_SHAPES + OTHER_SHAPES
# How far a shape may be turned: a square on its corner would be a diamond, and a cross an x.
TURNS = {"square": 25.0, "cross": 20.0, "heart": 40.0, "triangle": 180.0, "star": 180.0, "crescent": 180.0}


def distance_to(shape: str, u: Grid, v: Grid, proportions: Proportions) -> Grid:
    """Distance of each point to the outline of a shape around (0, 0), exact at the outline."""
    return _FIELDS[shape](u, v, proportions)


def _circle(u: Grid, v: Grid, proportions: Proportions) -> Grid:
    return _length(u, v) - 0.95


def _square(u: Grid, v: Grid, proportions: Proportions) -> Grid:
    return _box(u, v, 0.84, 0.84)


def _triangle(u: Grid, v: Grid, proportions: Proportions) -> Grid:
    """From flat to tall, its tip anywhere above the base."""
    half, height = 1.02 - 0.12 * proportions[0], 1.5 + 0.4 * proportions[0]
    tip = (proportions[1] - 0.5) * half
    top, base = -height * 0.6, height * 0.4
    right = _beyond_line(u, v, (tip, top), (half, base))
    left = _beyond_line(u, v, (-half, base), (tip, top))
    return np.maximum(np.maximum(right, left), v - np.float32(base))


def _star(u: Grid, v: Grid, proportions: Proportions) -> Grid:
    """Five points, or now and then six; folded onto one half of a point."""
    points = 5 if proportions[1] < 0.8 else 6
    inner = (0.4 if points == 5 else 0.5) + 0.12 * proportions[0]
    step = math.pi / points
    along = _towards(u, v, [2 * step * k for k in range(points)])
    aside = np.sqrt(np.maximum(u * u + v * v - along * along, 0))
    tip, notch = (0.0, -1.15), (1.15 * inner * math.sin(step), -1.15 * inner * math.cos(step))
    return _beyond_line(aside, -along, tip, notch)


def _hexagon(u: Grid, v: Grid, proportions: Proportions) -> Grid:
    slanted = np.float32(0.5) * np.abs(u) + np.float32(math.sqrt(3) / 2) * np.abs(v)
    return np.maximum(np.abs(u), slanted) - 0.85


def _ring(u: Grid, v: Grid, proportions: Proportions) -> Grid:
    thick = 0.17 + 0.08 * proportions[0]
    return np.abs(_length(u, v) - (0.97 - thick)) - thick


def _cross(u: Grid, v: Grid, proportions: Proportions) -> Grid:
    thick = 0.24 + 0.12 * proportions[0]
    return np.minimum(_box(u, v, 0.98, thick), _box(u, v, thick, 0.98))


def _heart(u: Grid, v: Grid, proportions: Proportions) -> Grid:
    """A square on its corner, with half a disc on each of its upper sides."""
    side, diagonal = 0.56, math.sqrt(0.5)
    v = v - np.float32(0.12)
    across, along = (u + v) * np.float32(diagonal), (u - v) * np.float32(diagonal)
    lobes = _length(np.abs(u) - np.float32(side * diagonal), v + np.float32(side * diagonal)) - side
    return np.minimum(_box(across, along, side, side), lobes)


def _crescent(u: Grid, v: Grid, proportions: Proportions) -> Grid:
    bite = 0.42 + 0.15 * proportions[0]
    u = u - np.float32(0.15)
    return np.maximum(_length(u, v) - 1.0, 0.82 - _length(u - np.float32(bite), v))


def _box(u: Grid, v: Grid, half_width: float, half_height: float) -> Grid:
    return np.maximum(np.abs(u) - np.float32(half_width), np.abs(v) - np.float32(half_height))


def _towards(u: Grid, v: Grid, angles: list[float]) -> Grid:
    """How far each point is in that of these directions in which it is farthest; 0 is up."""
    best = -v
    for angle in angles[1:]:
        best = np.maximum(best, np.float32(math.sin(angle)) * u - np.float32(math.cos(angle)) * v)
    return best


def _length(u: Grid, v: Grid) -> Grid:
    """As `np.hypot`, which is not the same on every machine."""
    return np.sqrt(u * u + v * v)


def _beyond_line(u: Grid, v: Grid, start: tuple[float, float], end: tuple[float, float]) -> Grid:
    """Signed distance to a line; going from start to end, what lies to the right (y down) is negative."""
    along_u, along_v = end[0] - start[0], end[1] - start[1]
    length = math.hypot(along_u, along_v)
    normal_u, normal_v = along_v / length, -along_u / length
    return np.float32(normal_u) * (u - np.float32(start[0])) + np.float32(normal_v) * (v - np.float32(start[1]))


_FIELDS: dict[str, Callable[[Grid, Grid, Proportions], Grid]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "hexagon": _hexagon,
    "ring": _ring,
    "cross": _cross,
    "heart": _heart,
    "crescent": _crescent,
}
