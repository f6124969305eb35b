"""One coloured shape: what it is called, and how it is drawn.

Figure, its centre -> Stamp: distance to the outline [S, S] -> pixels mixed into the canvas [H, W, 3]
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from sam3_hf.datasets.shapes.colours import Tone, distance
from sam3_hf.datasets.shapes.silhouettes import Grid, Proportions, distance_to

# A grid, or one row or column of it.
Line = Float[np.ndarray, "#H #W"]
Canvas = Float[np.ndarray, "H W 3"]
Point = tuple[float, float]
Window = tuple[slice, slice]

TEXTURES = ("plain", "striped", "dotted", "checkered")
# Nothing in a shape is farther from its centre, in radii.
_REACH = 1.3
# Two tones that differ less may be taken for one.
_ALIKE = 70.0
# Share of the edge that may be hard to see.
_MOSTLY_CLEAR = 0.03
_INKS: tuple[Tone, Tone] = ((12.0, 12.0, 12.0), (250.0, 250.0, 250.0))


@dataclass(frozen=True)
class Figure:
    """A shape on the canvas; `colour`, `shape`, `texture` and `size` are the words for it.

    Args:
        colour: One of `COLOURS`.
        shape: One of `SHAPES`.
        texture: One of `TEXTURES`.
        size: "small", "large" or "" for what is neither.
        radius: In pixels.
        angle: In radians.
        proportions: What varies the shape.
        tone: Colour of most of it.
        second: Colour of the rest, where there is a texture.
        step: Pixels from one stripe, dot or field to the next.
        texture_angle: In radians, from the figure's own upright.
        shade: How much lighter it grows to the right and down, per radius.
        outline: Colour of a thin line along the inside of the edge, or `None`.
        is_sharp: Whether edge pixels are either in or out, instead of mixed.
    """

    colour: str
    shape: str
    texture: str
    size: str
    radius: float
    angle: float
    proportions: Proportions
    tone: Tone
    second: Tone
    step: float
    texture_angle: float
    shade: Point
    outline: Tone | None = None
    is_sharp: bool = False

    @property
    def kind(self) -> tuple[str, str]:
        """Figures of one colour and one shape are of the same kind."""
        return self.colour, self.shape


class Stamp(NamedTuple):
    """A figure laid on a square of pixels, whose upper left pixel is `corner` (x, y) of the canvas."""

    distance: Grid
    u: Grid
    v: Grid
    corner: tuple[int, int]

    @property
    def solid(self) -> Bool[np.ndarray, "S S"]:
        """Pixels of which more than half is the figure's."""
        return self.distance < 0


def lay(figure: Figure, centre: Point) -> Stamp:
    """The figure with its centre at a point of the canvas, in pixels."""
    reach = math.ceil(figure.radius * _REACH) + 2
    corner = math.floor(centre[0]) - reach, math.floor(centre[1]) - reach
    offsets = np.arange(2 * reach + 1, dtype=np.float32) + np.float32(0.5)
    x = ((offsets - np.float32(centre[0] - corner[0])) / np.float32(figure.radius))[None]
    y = ((offsets - np.float32(centre[1] - corner[1])) / np.float32(figure.radius))[:, None]
    u, v = turned(x, y, -figure.angle)
    return Stamp(distance_to(figure.shape, u, v, figure.proportions) * np.float32(figure.radius), u, v, corner)


def turned(x: Line, y: Line, angle: float) -> tuple[Grid, Grid]:
    """Coordinates turned around (0, 0)."""
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return cosine * x - sine * y, sine * x + cosine * y


def windows(stamp: Stamp, size: tuple[int, int]) -> tuple[Window, Window]:
    """Where the stamp lies on a canvas of this size (height, width), and which part of the stamp that is."""
    side = len(stamp.distance)
    ends = [(min(max(c, 0), n), min(max(c + side, 0), n)) for c, n in zip(reversed(stamp.corner), size, strict=True)]
    (top, bottom), (left, right) = ends
    x, y = stamp.corner
    return (slice(top, bottom), slice(left, right)), (slice(top - y, bottom - y), slice(left - x, right - x))


def with_visible_edge(figure: Figure, stamp: Stamp, canvas: Canvas) -> Figure:
    """The figure, with a black or white outline if it would not stand out from the canvas around its edge."""
    there, part = windows(stamp, canvas.shape[:2])  # pyright: ignore[reportArgumentType]
    return outlined_against(figure, canvas[there][np.abs(stamp.distance[part]) < 2.5])


def outlined_against(figure: Figure, around: Float[np.ndarray, "n 3"]) -> Figure:
    """The figure, with a black or white outline if these colours around it are too much like it."""
    tones = (figure.tone,) if figure.outline is None else (figure.tone, figure.outline)
    if any(float(np.mean(distance(around, tone) < _ALIKE)) < _MOSTLY_CLEAR for tone in tones):
        return figure
    return replace(figure, outline=max(_INKS, key=lambda ink: _contrast(ink, figure.tone, around)))


def _contrast(ink: Tone, tone: Tone, around: Float[np.ndarray, "n 3"]) -> float:
    """How well an outline stands out from the figure, and from the most alike of what is around."""
    from_figure = float(distance(np.asarray(tone, np.float32)[None], ink)[0])
    return min(from_figure, float(np.quantile(distance(around, ink), 0.25)))


def paint(figure: Figure, stamp: Stamp, canvas: Canvas) -> None:
    """Mix the figure into the canvas."""
    there, part = windows(stamp, canvas.shape[:2])  # pyright: ignore[reportArgumentType]
    inside = stamp.distance[part]
    cover = (inside < 0).astype(np.float32) if figure.is_sharp else np.clip(0.5 - inside, 0, 1)
    below = canvas[there]
    below += cover[..., None] * (_pixels(figure, inside, stamp.u[part], stamp.v[part]) - below)


def _pixels(figure: Figure, inside: Grid, u: Grid, v: Grid) -> Canvas:
    tone = np.asarray(figure.tone, np.float32)
    if figure.texture == "plain":
        pixels = np.broadcast_to(tone, (*inside.shape, 3))
    else:
        second = np.asarray(figure.second, np.float32) - tone
        pixels = tone + _second_share(figure, u, v)[..., None] * second
    if figure.shade != (0.0, 0.0):
        light = 1 + np.float32(figure.shade[0]) * u + np.float32(figure.shade[1]) * v
        pixels = pixels * light[..., None]
    if figure.outline is not None:
        edge = np.clip(inside + np.float32(max(1.8, 0.09 * figure.radius)), 0, 1)[..., None]
        pixels = pixels + edge * (np.asarray(figure.outline, np.float32) - pixels)
    return pixels


def _second_share(figure: Figure, u: Grid, v: Grid) -> Grid:
    """How much of each pixel has the second tone, 0..1; less than half of all in stripes and dots."""
    steps = np.float32(figure.radius / figure.step)
    x, y = turned(u * steps, v * steps, figure.texture_angle)
    x, y = x - np.floor(x) - np.float32(0.5), y - np.floor(y) - np.float32(0.5)
    if figure.texture == "striped":
        return np.clip((np.float32(0.22) - np.abs(x)) * np.float32(figure.step) + np.float32(0.5), 0, 1)
    if figure.texture == "dotted":
        return np.clip((np.float32(0.33) - np.hypot(x, y)) * np.float32(figure.step) + np.float32(0.5), 0, 1)
    # A field is half a step wide.
    return np.clip(x * y * np.float32(-8 * figure.step) + np.float32(0.5), 0, 1)
