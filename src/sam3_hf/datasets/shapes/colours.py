"""Colour words and the tones that everybody calls so; between two words lies a gap that no figure has.

word -> (hue in degrees, saturation, value) from its range -> RGB 0..255
"""

import colorsys

import numpy as np
from jaxtyping import Float

from sam3_hf.datasets.shapes.chance import between, happens, pick

Tone = tuple[int | float, int | float, int | float]
Range = tuple[float, float]

MAIN_COLOURS = ("red", "blue", "green", "yellow", "orange", "purple", "black", "white")
OTHER_COLOURS = ("pink", "grey", "brown", "cyan")
COLOURS = MAIN_COLOURS + OTHER_COLOURS

# Hue, saturation, value.
RANGES: dict[str, tuple[Range, Range, Range]] = {
    "red": ((-8, 5), (0.8, 1), (0.66, 1)),
    "orange": ((23, 38), (0.85, 1), (0.9, 1)),
    "yellow": ((52, 62), (0.75, 1), (0.9, 1)),
    "green": ((98, 150), (0.6, 1), (0.45, 0.95)),
    "cyan": ((177, 188), (0.7, 1), (0.85, 1)),
    "blue": ((214, 243), (0.7, 1), (0.55, 1)),
    "purple": ((270, 290), (0.55, 0.95), (0.5, 0.85)),
    "pink": ((326, 346), (0.32, 0.58), (0.95, 1)),
    "brown": ((20, 29), (0.62, 0.86), (0.34, 0.52)),
    "grey": ((0, 360), (0, 0.05), (0.45, 0.6)),
    "black": ((0, 360), (0, 0.3), (0, 0.11)),
    "white": ((0, 360), (0, 0.03), (0.95, 1)),
}
# What drawing programs call by these names, and people type.
TYPED: dict[str, tuple[Tone, ...]] = {
    "red": ((255, 0, 0), (220, 20, 60), (228, 26, 28), (214, 39, 40)),
    "orange": ((255, 165, 0), (255, 127, 14), (255, 140, 0)),
    "yellow": ((255, 255, 0), (255, 221, 0)),
    "green": ((0, 128, 0), (0, 255, 0), (44, 160, 44), (34, 139, 34)),
    "cyan": ((0, 255, 255),),
    "blue": ((0, 0, 255), (31, 119, 180), (65, 105, 225), (0, 0, 160)),
    "purple": ((128, 0, 128), (148, 103, 189), (106, 13, 173)),
    "pink": ((255, 192, 203), (255, 105, 180)),
    "brown": ((139, 69, 19), (101, 67, 33)),
    "grey": ((128, 128, 128),),
    "black": ((0, 0, 0),),
    "white": ((255, 255, 255),),
}
# The second tone of textured figures without a hue; zebras would be black to some and white to others.
_SECOND_OF_NEUTRAL = {"black": (105, 130), "white": (140, 165), "grey": (35, 60)}


def tone_of(rng: np.random.Generator, word: str) -> Tone:
    """Some tone that has this name."""
    if happens(rng, 0.2):
        return pick(rng, TYPED[word])
    hue, saturation, value = (between(rng, *ends) for ends in RANGES[word])
    return from_hsv(hue, saturation, value)


def second_tone_of(rng: np.random.Generator, word: str, tone: Tone) -> Tone:
    """The other tone of a textured figure that still has the name of the first."""
    if word in _SECOND_OF_NEUTRAL:
        level = between(rng, *_SECOND_OF_NEUTRAL[word])
        return level, level, level
    light = luminance(tone) > 150
    if not light and happens(rng, 0.5):
        level = between(rng, 235, 255)
        return level, level, level
    red, green, blue = tone
    if light:
        factor = between(rng, 0.45, 0.6)
        return red * factor, green * factor, blue * factor
    share = between(rng, 0.55, 0.7)
    return red + (255 - red) * share, green + (255 - green) * share, blue + (255 - blue) * share


def from_hsv(hue: int | float, saturation: int | float, value: int | float) -> Tone:
    """RGB 0..255 of a hue in degrees, and saturation and value in 0..1."""
    red, green, blue = colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value)
    return 255 * red, 255 * green, 255 * blue


def luminance(tone: Tone) -> float:
    """How light a tone is, 0..255."""
    return 0.3 * tone[0] + 0.59 * tone[1] + 0.11 * tone[2]


def distance(pixels: Float[np.ndarray, "*n 3"], tone: Tone) -> Float[np.ndarray, "*n"]:
    """How different colours look from a tone, about 0..255: weighted by how well the eye tells each channel."""
    difference = (pixels - np.asarray(tone, np.float32)) ** 2
    return np.sqrt(difference @ np.asarray([0.3, 0.5, 0.2], np.float32))
