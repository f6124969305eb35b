"""Prompts for a scene: phrases that mean something there, phrases that nearly do, and examples.

cast, count -> Ask(text, targets, examples and their labels), ...
"""

from typing import NamedTuple

import numpy as np

from sam3_hf.datasets.shapes.chance import happens, pick, shuffled, weighted
from sam3_hf.datasets.shapes.figures import TEXTURES, Figure
from sam3_hf.datasets.shapes.phrases import Cast, Phrase, meant, written
from sam3_hf.datasets.shapes.plans import any_colour, any_shape

# The text where example boxes alone ask.
VISUAL = "visual"
EXAMPLES_SHARE = 0.3
_ATTEMPTS = 12
# How often which of the words for a figure are said.
_SAID = {"colour shape": 0.52, "shape": 0.17, "colour": 0.11, "size": 0.07, "texture": 0.07, "all": 0.04, "": 0.02}
# Things of the world, never in a scene.
STRANGE_NOUNS = (
    *("person", "dog", "cat", "car", "tree", "house", "bird", "chair", "table", "bottle", "flower", "shoe", "book"),
    *("window", "door", "hand", "face", "horse", "fish", "boat", "train", "lamp", "cup", "apple", "leaf", "cloud"),
    *("road sign", "coffee cup", "kitchen towel", "bicycle wheel", "player in a jersey", "wooden spoon", "letter"),
)


class Ask(NamedTuple):
    """A prompt, with figures by their index in the scene; no targets: nothing there is meant."""

    text: str
    targets: tuple[int, ...]
    examples: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()


def any_asks(
    rng: np.random.Generator, cast: Cast, count: int, examples_share: float = EXAMPLES_SHARE
) -> tuple[Ask, ...]:
    """So many prompts: of the texts half mean something, as far as the scene has it; no two ask the same."""
    asked: set[object] = set()
    asks: list[Ask] = []
    for number in range(count):
        if cast.figures and happens(rng, examples_share):
            ask = _by_example(rng, cast, asked)
        else:
            ask = _by_text(rng, cast, asked, is_positive=(number + int(rng.integers(2))) % 2 == 0)
        asks.append(ask or _by_text(rng, cast, asked, is_positive=False) or _strange(rng, asked))
    return tuple(asks)


def _by_text(rng: np.random.Generator, cast: Cast, asked: set[object], is_positive: bool) -> Ask | None:
    if not is_positive and happens(rng, 0.12):
        return None
    is_positive = is_positive and bool(cast.figures)
    for _ in range(_ATTEMPTS):
        phrase = _saying(rng, pick(rng, cast.figures)) if is_positive else _nearly_saying(rng, cast)
        targets = meant(phrase, cast)
        if targets is not None and bool(targets) == is_positive and phrase not in asked:
            asked.add(phrase)
            return Ask(written(phrase, rng), tuple(targets))
    return None


def _nearly_saying(rng: np.random.Generator, cast: Cast) -> Phrase:
    """Nearly says something of one of the figures; may by chance say it of another."""
    if not cast.figures or happens(rng, 0.15):
        colour, shape = any_colour(rng), any_shape(rng)
        return weighted(
            rng, {Phrase(colour=colour, shape=shape): 3.0, Phrase(shape=shape): 1.0, Phrase(colour=colour): 1.0}
        )
    figure, other = pick(rng, cast.figures), pick(rng, cast.figures)
    phrase = _saying(rng, figure)
    match weighted(rng, {"swap": 0.3, "colour": 0.3, "shape": 0.25, "texture": 0.08, "size": 0.07}):
        case "swap":
            return phrase._replace(colour=figure.colour, shape=other.shape)
        case "colour":
            return phrase._replace(colour=any_colour(rng))
        case "shape":
            return phrase._replace(shape=any_shape(rng))
        case "texture":
            return phrase._replace(texture=pick(rng, TEXTURES))
        case _:
            return phrase._replace(size="large" if figure.size == "small" else "small")


def _saying(rng: np.random.Generator, figure: Figure) -> Phrase:
    """Some of the words for a figure."""
    colour, shape = figure.colour, figure.shape
    whole = Phrase(figure.size, figure.texture, colour, shape)
    match weighted(rng, _SAID):
        case "size":
            return _thinned(rng, whole._replace(texture=""))
        case "texture":
            return _thinned(rng, whole._replace(size=""))
        case "all":
            return whole
        case said:
            return Phrase(colour=colour if "colour" in said else "", shape=shape if "shape" in said else "")


def _thinned(rng: np.random.Generator, phrase: Phrase) -> Phrase:
    """Mostly with both colour and shape, else with one."""
    left_out = pick(rng, ("colour", "shape", "", ""))
    return phrase._replace(**{left_out: ""}) if left_out else phrase


def _by_example(rng: np.random.Generator, cast: Cast, asked: set[object]) -> Ask | None:
    """Boxes of one to three figures of a kind, which means all of that kind; at times with a text, or a "not this"."""
    for _ in range(_ATTEMPTS):
        kind = pick(rng, cast.figures).kind
        if ("examples", kind) in asked:
            continue
        asked.add(("examples", kind))
        same = [i for i, figure in enumerate(cast.figures) if figure.kind == kind]
        others = [i for i, figure in enumerate(cast.figures) if figure.kind != kind]
        shown = shuffled(rng, same)[: pick(rng, (1, 1, 1, 2, 3))]
        hidden = [pick(rng, others)] if others and happens(rng, 0.25) else []
        text = written(Phrase(colour=kind[0], shape=kind[1]), rng) if happens(rng, 0.2) else VISUAL
        return Ask(text, tuple(same), (*shown, *hidden), (1,) * len(shown) + (0,) * len(hidden))
    return None


def _strange(rng: np.random.Generator, asked: set[object]) -> Ask:
    """A thing that no scene has."""
    while True:
        colour = any_colour(rng) + " " if happens(rng, 0.2) else ""
        text = colour + pick(rng, STRANGE_NOUNS)
        if text not in asked:
            asked.add(text)
            return Ask(text, ())
