"""How figures move through a clip: along, away and back, past each other, behind bars; growing and turning.

figures -> Track: time 0..1 -> figure as it is then, and its centre
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sam3_hf.datasets.shapes.chance import between, happens, pick, weighted
from sam3_hf.datasets.shapes.figures import Figure, Point

_HALF_TURN = math.pi


class Track(NamedTuple):
    """A figure and its way; all lengths in pixels, all times 0..1 of the clip.

    Args:
        figure: As it is at its mean size.
        start: Centre at the beginning.
        end: Centre at the end.
        bulge: How far from the straight way it is halfway.
        growth: Share by which the radius swings.
        growth_start: Where in its swing it begins, in radians.
        spin: Radians it turns from beginning to end.
    """

    figure: Figure
    start: Point
    end: Point
    bulge: Point
    growth: float
    growth_start: float
    spin: float

    def at(self, time: float) -> tuple[Figure, Point]:
        """The figure and its centre at a time."""
        along, aside = (1 - math.cos(math.pi * time)) / 2, math.sin(math.pi * time)
        x, y = (a + along * (b - a) + aside * c for a, b, c in zip(self.start, self.end, self.bulge, strict=True))
        scale = 1 + self.growth * math.sin(self.growth_start + 2 * math.pi * time)
        figure = self.figure
        now = {"radius": figure.radius * scale, "step": figure.step * scale, "angle": figure.angle + self.spin * time}
        return replace(figure, **now), (x, y)


class Bar(NamedTuple):
    """A strip from edge to edge in front of all figures; it hides them and is none."""

    is_upright: bool
    first: int
    last: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Its pixels."""
        strip = slice(self.first, self.last)
        return (slice(None), strip) if self.is_upright else (strip, slice(None))


def any_bars(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Bar, ...]:
    """None, one or two of them."""
    bars = []
    for _ in range(weighted(rng, {0: 0.55, 1: 0.33, 2: 0.12})):
        is_upright = happens(rng, 0.6)
        side = size[1] if is_upright else size[0]
        middle, half = between(rng, 0.25, 0.75) * side, between(rng, 0.04, 0.1) * side
        bars.append(Bar(is_upright, int(middle - half), int(middle + half)))
    return tuple(bars)


def any_tracks(
    rng: np.random.Generator, figures: list[Figure], size: tuple[int, int], bars: tuple[Bar, ...]
) -> tuple[Track, ...]:
    """A way for each figure; now and then two trade places, and meet halfway."""
    tracks: list[Track] = []
    for figure in figures:
        if len(tracks) % 2 and tracks[-1].start != tracks[-1].end and happens(rng, 0.45):
            track = _track(rng, figure, tracks[-1].end, tracks[-1].start)
        elif bars and happens(rng, 0.5):
            track = _behind(rng, figure, size, pick(rng, bars))
        else:
            track = _alone(rng, figure, size)
        tracks.append(track)
    return tuple(tracks)


def _track(rng: np.random.Generator, figure: Figure, start: Point, end: Point, bulge: Point = (0.0, 0.0)) -> Track:
    growth = between(rng, 0.1, 0.35) if happens(rng, 0.4) else 0.0
    turns_freely = figure.shape in ("triangle", "star", "hexagon", "circle", "ring", "crescent")
    spin = between(rng, -1, 1) * _HALF_TURN if turns_freely and happens(rng, 0.5) else 0.0
    return Track(figure, start, end, bulge, growth, between(rng, 0, 2 * math.pi), spin)


def _alone(rng: np.random.Generator, figure: Figure, size: tuple[int, int]) -> Track:
    start, end = _inside(rng, figure, size), _inside(rng, figure, size)
    match weighted(rng, {"along": 0.35, "still": 0.12, "bend": 0.13, "return": 0.25, "leave": 0.15}):
        case "along":
            return _track(rng, figure, start, end)
        case "still":
            return _track(rng, figure, start, start)
        case "bend":
            turn = between(rng, -0.5, 0.5)
            return _track(rng, figure, start, end, ((start[1] - end[1]) * turn, (end[0] - start[0]) * turn))
        case "return":
            out, halfway = _outside(rng, figure, size), ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
            return _track(rng, figure, start, end, (out[0] - halfway[0], out[1] - halfway[1]))
        case _:
            out = _outside(rng, figure, size)
            return _track(rng, figure, start, out) if happens(rng, 0.5) else _track(rng, figure, out, start)


def _behind(rng: np.random.Generator, figure: Figure, size: tuple[int, int], bar: Bar) -> Track:
    """From one side of a bar to the other."""
    across = size[1] if bar.is_upright else size[0]
    along = between(rng, 0.2, 0.8) * (size[0] if bar.is_upright else size[1])
    near, far = max(bar.first - figure.radius, 0.0), min(bar.last + figure.radius, float(across))
    ends = [(near, along), (far, along)] if bar.is_upright else [(along, near), (along, far)]
    start, end = ends if happens(rng, 0.5) else reversed(ends)
    return _track(rng, figure, start, end)


def _inside(rng: np.random.Generator, figure: Figure, size: tuple[int, int]) -> Point:
    x, y = (between(rng, min(figure.radius, side / 2), max(side - figure.radius, side / 2)) for side in reversed(size))
    return x, y


def _outside(rng: np.random.Generator, figure: Figure, size: tuple[int, int]) -> Point:
    """Where nothing of it is seen, however large it grows."""
    x, y = _inside(rng, figure, size)
    away = 1.9 * figure.radius
    height, width = size
    return pick(rng, ((-away, y), (width + away, y), (x, -away), (x, height + away)))
