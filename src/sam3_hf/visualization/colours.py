"""Colours for any number of objects: far apart, equally bright, and always the same.

number of the object -> hue, lightness -> OKLCH -> sRGB
"""

import math

Colour = tuple[int, int, int]

# Turning by the golden angle keeps any number of hues apart; the lightness tells neighbours in the circle apart.
_GOLDEN_ANGLE = 137.508
_FIRST_HUE = 255.0
_LIGHTNESS = (0.72, 0.80, 0.64)
_CHROMA = 0.19
# Rows of the published OKLab matrices (Björn Ottosson, 2020): Lab to cone responses, cone responses to linear sRGB.
_TO_CONES = ((1, 0.3963377774, 0.2158037573), (1, -0.1055613458, -0.0638541728), (1, -0.0894841775, -1.2914855480))
_TO_RGB = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)


def colour_of(number: int) -> Colour:
    """The colour of the object with this number, in 0..255."""
    hue = math.radians(_FIRST_HUE + _GOLDEN_ANGLE * number)
    return _from_oklch(_LIGHTNESS[number % len(_LIGHTNESS)], _CHROMA, hue)


def text_colour_on(background: Colour) -> Colour:
    """Nearly black or white, whichever reads better."""
    linear = [_to_linear(value / 255) for value in background]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (16, 18, 24) if luminance > 0.22 else (255, 255, 255)


def _from_oklch(lightness: float, chroma: float, hue: float) -> Colour:
    lab = (lightness, chroma * math.cos(hue), chroma * math.sin(hue))
    cones = [_dot(row, lab) ** 3 for row in _TO_CONES]
    red, green, blue = (round(255 * _to_gamma(min(max(_dot(row, cones), 0.0), 1.0))) for row in _TO_RGB)
    return red, green, blue


def _dot(row: tuple[float, ...], values: list[float] | tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(row, values, strict=True))


def _to_gamma(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def _to_linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
