"""Noun phrases: what they say, how they are written, and which figures they mean.

Phrase(size, texture, colour, shape) -> "large striped red circle"
                                    `-> figures of a scene, or no answer where people would differ
"""

from typing import NamedTuple

import numpy as np

from sam3_hf.datasets.shapes.chance import happens, pick
from sam3_hf.datasets.shapes.figures import Figure

NOUNS = ("object", "shape")
# Whether a ring is a circle, people see differently: neither is asked for where the other is.
_RIVALS = {"circle": "ring", "ring": "circle"}
_PLURALS = {"cross": "crosses"}
_SPELLINGS = {"grey": ("grey", "gray")}


class Phrase(NamedTuple):
    """The words of a phrase, "" where it says nothing; without a shape it means any."""

    size: str = ""
    texture: str = ""
    colour: str = ""
    shape: str = ""

    def admits(self, figure: Figure) -> bool:
        """Whether the figure is all that the phrase says."""
        said = zip(self, (figure.size, figure.texture, figure.colour, figure.shape), strict=True)
        return all(word in ("", fact) for word, fact in said)


class Cast(NamedTuple):
    """The figures of a scene, and whether its background has patches that someone might call objects."""

    figures: tuple[Figure, ...]
    has_regions: bool


def meant(phrase: Phrase, cast: Cast) -> list[int] | None:
    """Indices of the figures that a phrase means; `None` where people would not agree."""
    rival = _RIVALS.get(phrase.shape)
    if rival and any(phrase._replace(shape=rival).admits(figure) for figure in cast.figures):
        return None
    if not phrase.shape and cast.has_regions:
        return None
    sizes = {figure.size for figure in cast.figures if phrase._replace(size="").admits(figure)}
    if phrase.size and "" in sizes:
        return None
    return [i for i, figure in enumerate(cast.figures) if phrase.admits(figure)]


def written(phrase: Phrase, rng: np.random.Generator) -> str:
    """The phrase as someone may write it: mostly in the singular, without an article."""
    noun = phrase.shape or pick(rng, NOUNS)
    is_plural = happens(rng, 0.2)
    colour = pick(rng, _SPELLINGS.get(phrase.colour, (phrase.colour,)))
    words = [phrase.size, phrase.texture, colour, plural(noun) if is_plural else noun]
    text = " ".join(word for word in words if word)
    if happens(rng, 0.92):
        return text
    if is_plural or happens(rng, 0.5):
        return f"the {text}"
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def plural(noun: str) -> str:
    """The word for more than one."""
    return _PLURALS.get(noun, noun + "s")
