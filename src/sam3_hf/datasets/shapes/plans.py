"""Which figures a scene shall have, before any is drawn: words first, then measures.

generator -> wishes (colour, shape, texture, size) -> figures for an image of some size
"""

import math
from typing import NamedTuple

import numpy as np

from sam3_hf.datasets.shapes.chance import between, happens, pick, shuffled, weighted
from sam3_hf.datasets.shapes.colours import MAIN_COLOURS, OTHER_COLOURS, Tone, second_tone_of, tone_of
from sam3_hf.datasets.shapes.figures import TEXTURES, Figure
from sam3_hf.datasets.shapes.silhouettes import MAIN_SHAPES, OTHER_SHAPES, TURNS

# Diameters as shares of the image's shorter side. What is neither small nor large has no word.
SIZES = {"small": (0.11, 0.16), "": (0.2, 0.28), "large": (0.33, 0.5)}
_LEAST_DIAMETER = 14.0
# Too thin to show a texture.
_ONLY_PLAIN = ("ring", "cross", "crescent")


class Wish(NamedTuple):
    """The words for one figure."""

    colour: str
    shape: str
    texture: str
    size: str


class Manner(NamedTuple):
    """What the figures of one scene have in common."""

    is_sharp: bool
    outlined: float
    outline: Tone
    shaded: float
    one_tone: bool


def any_manner(rng: np.random.Generator, is_tidy: bool) -> Manner:
    """Some manner of drawing; a tidy one is that of a drawing program."""
    outline = pick(rng, ((0.0, 0.0, 0.0), (20.0, 20.0, 20.0), (255.0, 255.0, 255.0)))
    outlined = weighted(rng, {0.0: 5.0, 0.3: 3.0, 1.0: 2.0})
    return Manner(happens(rng, 0.12), outlined, outline, 0.0 if is_tidy else 0.45, happens(rng, 0.4))


def any_wishes(rng: np.random.Generator) -> list[Wish]:
    """Figures for one scene: none, one, a few kinds that are easily confused, or many of one kind."""
    match weighted(rng, {"none": 0.07, "one": 0.13, "few": 0.64, "many": 0.16}):
        case "none":
            return []
        case "one":
            return [_any_wish(rng)]
        case "many":
            return _many(rng)
        case _:
            return _few(rng)


def some_wishes(rng: np.random.Generator, most: int) -> list[Wish]:
    """At least one figure, of a few kinds that are easily confused."""
    return _few(rng)[:most]


def easy_wishes(rng: np.random.Generator) -> list[Wish]:
    """One to five figures of the main colours and shapes, plain and not small, to begin with."""
    return [
        Wish(pick(rng, MAIN_COLOURS), pick(rng, MAIN_SHAPES), "plain", pick(rng, ("", "large")))
        for _ in range(int(rng.integers(1, 6)))
    ]


def figure_for(rng: np.random.Generator, wish: Wish, shorter_side: int, manner: Manner) -> Figure:
    """A figure of these words, to be drawn on an image with this shorter side."""
    diameter = max(between(rng, *SIZES[wish.size]) * shorter_side, _LEAST_DIAMETER)
    tone = tone_of(rng, wish.colour)
    turn = TURNS.get(wish.shape, 180.0) if happens(rng, 0.6) else 0.0
    is_shaded = wish.colour != "black" and happens(rng, manner.shaded)
    # Dark orange would be brown.
    most = 0.07 if wish.colour in ("orange", "yellow") else 0.14
    strength, direction = between(rng, 0.03, most) if is_shaded else 0.0, between(rng, 0, 2 * math.pi)
    return Figure(
        *wish[:2],
        texture=wish.texture,
        size=wish.size,
        radius=diameter / 2,
        angle=math.radians(between(rng, -turn, turn)),
        proportions=(float(rng.random()), float(rng.random())),
        tone=tone,
        second=second_tone_of(rng, wish.colour, tone),
        step=_step(rng, wish.texture, diameter, shorter_side),
        texture_angle=between(rng, 0, math.pi),
        shade=(strength * math.cos(direction), strength * math.sin(direction)),
        outline=manner.outline if happens(rng, manner.outlined) else None,
        is_sharp=manner.is_sharp,
    )


def any_colour(rng: np.random.Generator) -> str:
    """A colour word, the main ones more often."""
    return pick(rng, MAIN_COLOURS if happens(rng, 0.85) else OTHER_COLOURS)


def any_shape(rng: np.random.Generator) -> str:
    """A word for a shape, the main ones more often."""
    return pick(rng, MAIN_SHAPES if happens(rng, 0.78) else OTHER_SHAPES)


def _any_wish(rng: np.random.Generator) -> Wish:
    size = weighted(rng, {"small": 0.35, "": 0.35, "large": 0.3})
    return _possible(rng, any_colour(rng), any_shape(rng), size)


def _possible(rng: np.random.Generator, colour: str, shape: str, size: str) -> Wish:
    """With a texture, where one can be seen."""
    has_texture = size != "small" and shape not in _ONLY_PLAIN and happens(rng, 0.4)
    return Wish(colour, shape, pick(rng, TEXTURES[1:]) if has_texture else "plain", size)


def _few(rng: np.random.Generator) -> list[Wish]:
    kinds = [_any_wish(rng)]
    for _ in range(int(rng.integers(1, 6))):
        kinds.append(_like(rng, pick(rng, kinds)))
    wishes = []
    for kind in kinds:
        count = weighted(rng, {1: 0.55, 2: 0.25, 3: 0.14, 4: 0.06})
        wishes += [kind if happens(rng, 0.6) else _possible(rng, *kind[:2], _any_wish(rng).size) for _ in range(count)]
    return shuffled(rng, wishes)[:12]


def _like(rng: np.random.Generator, kind: Wish) -> Wish:
    """A kind that shares a word with another, so that phrases must be read to the end."""
    size = _any_wish(rng).size
    match weighted(rng, {"shape": 0.34, "colour": 0.26, "both": 0.15, "nothing": 0.25}):
        case "shape":
            return _possible(rng, any_colour(rng), kind.shape, size)
        case "colour":
            return _possible(rng, kind.colour, any_shape(rng), size)
        case "both":
            return _possible(rng, kind.colour, kind.shape, size)
        case _:
            return _any_wish(rng)


def _many(rng: np.random.Generator) -> list[Wish]:
    size = pick(rng, ("small", ""))
    kind = _possible(rng, any_colour(rng), any_shape(rng), size)
    others = [_like(rng, kind) for _ in range(int(rng.integers(0, 5)))]
    return shuffled(rng, [*others, *[kind] * int(rng.integers(6, 21 if size == "small" else 13))])


def _step(rng: np.random.Generator, texture: str, diameter: float, shorter_side: int) -> float:
    """Wide enough to be seen, narrow enough to come back a few times."""
    low, high = {"checkered": (0.34, 0.48), "dotted": (0.2, 0.28)}.get(texture, (0.17, 0.27))
    return max(between(rng, low, high) * diameter, low * 0.2 * shorter_side, 7.0)
