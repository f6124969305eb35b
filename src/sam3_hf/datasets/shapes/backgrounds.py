"""What lies behind the figures, and is never one: plain, graded, noisy, striped, like a photograph, cluttered.

size -> Background: pixels [H, W, 3] 0..255
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from sam3_hf.datasets.shapes.chance import between, happens, pick, weighted
from sam3_hf.datasets.shapes.colours import Tone, from_hsv
from sam3_hf.datasets.shapes.figures import Canvas
from sam3_hf.datasets.shapes.silhouettes import Grid

Size = tuple[int, int]
Chance = np.random.Generator
Outline = list[tuple[float, float]]


class Background(NamedTuple):
    """Pixels 0..255, and whether they hold regions that someone might call objects, though without a name."""

    pixels: Canvas
    has_regions: bool


def paint_background(rng: Chance, size: Size, is_tidy: bool = False, is_empty: bool = False) -> Background:
    """Some background of this size (height, width); a tidy one is plain and light, or nearly so."""
    if is_tidy:
        return Background(_plain(rng, size) if happens(rng, 0.7) else _gradient(rng, size), False)
    style = weighted(rng, _STYLES | ({"photo": 4.0, "regions": 3.0, "blobs": 4.0} if is_empty else {}))
    pixels = _PAINTERS[style](rng, size)
    if happens(rng, 0.3):
        pixels = _with_clutter(rng, pixels)
    if happens(rng, 0.3):
        pixels = pixels * (1 + between(rng, 0.05, 0.3) * _ramp(rng, size)[..., None])
    return Background(np.clip(pixels, 0, 255, dtype=np.float32), style in ("regions", "blobs"))


def smooth_noise(rng: Chance, size: Size, cells: float) -> Grid:
    """Soft noise of about 0..1 with this many hills along the longer side."""
    height, width = size
    scale = cells / max(size)
    knots = rng.random((math.ceil(height * scale) + 2, math.ceil(width * scale) + 2)).astype(np.float32)
    x, y = between(rng, 0, 1), between(rng, 0, 1)
    box = (x, y, x + width * scale, y + height * scale)
    return np.asarray(Image.fromarray(knots).resize((width, height), Image.Resampling.BICUBIC, box=box))


def _fractal(rng: Chance, size: Size) -> Grid:
    """Noise of many scales at once, stretched to 0..1."""
    cells, weight = between(rng, 1.5, 5), 1.0
    roughness = between(rng, 0.35, 0.65)
    total = smooth_noise(rng, size, cells)
    while cells < 90:
        cells, weight = cells * 2.3, weight * roughness
        total = total + np.float32(weight) * smooth_noise(rng, size, cells)
    low, high = float(total.min()), float(total.max())
    return (total - np.float32(low)) / np.float32(max(high - low, 1e-6))


def any_tone(rng: Chance, vivid: float = 0.12) -> Tone:
    """A colour of the world: mostly muted, in this share vivid, often nearly black or white."""
    hue = between(rng, 0, 360)
    if happens(rng, vivid):
        return from_hsv(hue, between(rng, 0.6, 1), between(rng, 0.5, 1))
    return from_hsv(hue, between(rng, 0, 0.45) ** 1.2, between(rng, 0.05, 1))


def _plain(rng: Chance, size: Size) -> Canvas:
    draw = rng.random()
    if draw < 0.35:
        level = between(rng, 240, 255)
        return np.full((*size, 3), level, np.float32)
    tone = from_hsv(between(rng, 0, 360), between(rng, 0, 0.35), between(rng, 0.7, 1)) if draw < 0.6 else any_tone(rng)
    return np.broadcast_to(np.asarray(tone, np.float32), (*size, 3)).copy()


def _ramp(rng: Chance, size: Size) -> Grid:
    """From about -1 to 1 in some direction, or from the middle outwards."""
    y = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, size[1], dtype=np.float32)[None]
    if happens(rng, 0.25):
        return 1 - np.hypot(x, y) * np.float32(1.4)
    angle = between(rng, 0, 2 * math.pi)
    return np.float32(math.cos(angle)) * x + np.float32(math.sin(angle)) * y


def _gradient(rng: Chance, size: Size) -> Canvas:
    return _coloured(rng, _ramp(rng, size) * np.float32(0.4) + np.float32(0.5), 2)


def _coloured(rng: Chance, levels: Grid, tones: int) -> Canvas:
    """Levels 0..1 as colours along a scale of a few tones."""
    scale = np.asarray([any_tone(rng) for _ in range(tones)], np.float32)
    knots = np.linspace(0, 255, tones)
    table = np.stack([np.interp(np.arange(256), knots, channel) for channel in scale.T], axis=1).astype(np.float32)
    return table[np.clip(levels * 255, 0, 255).astype(np.uint8)]


def _noise(rng: Chance, size: Size) -> Canvas:
    base = _plain(rng, size)
    strength = between(rng, 15, 70)
    shape = (*size, 3 if happens(rng, 0.5) else 1)
    return base + np.float32(strength) * (rng.random(shape, np.float32) - np.float32(0.5))


def _soft(rng: Chance, size: Size) -> Canvas:
    """Blotches."""
    cells = between(rng, 2, 9)
    return np.stack([255 * smooth_noise(rng, size, cells) for _ in range(3)], axis=-1)


def _stripes(rng: Chance, size: Size) -> Canvas:
    wave = np.sin(_ramp(rng, size) * np.float32(between(rng, 8, 60)))
    levels = (wave > 0).astype(np.float32) if happens(rng, 0.5) else wave * np.float32(0.5) + np.float32(0.5)
    near = np.asarray(any_tone(rng), np.float32)
    far = near + np.float32(between(rng, 0.15, 0.6)) * (np.asarray(any_tone(rng), np.float32) - near)
    return near + levels[..., None] * (far - near)


def _paper(rng: Chance, size: Size) -> Canvas:
    """A sheet with a grid of fine lines."""
    pixels = _plain(rng, size)
    step = int(between(rng, 0.04, 0.12) * min(size)) + 4
    line = np.asarray(any_tone(rng), np.float32)
    for lines in (pixels[::step], pixels[:, ::step]):
        lines += np.float32(0.5) * (line - lines)
    return pixels


def _photo(rng: Chance, size: Size) -> Canvas:
    """Hills of noise in a scale of colours, lit unevenly, like wood, grass, cloth or a wall."""
    pixels = _coloured(rng, _fractal(rng, size), pick(rng, (2, 3, 4, 6)))
    return pixels * (np.float32(0.7) + np.float32(0.6) * smooth_noise(rng, size, between(rng, 2, 5))[..., None])


def _regions(rng: Chance, size: Size) -> Canvas:
    """Sharp edged patches of a few tones, like camouflage or a landscape."""
    levels, tones = _fractal(rng, size), pick(rng, (3, 4, 5))
    flat = _coloured(rng, np.floor(levels * np.float32(tones)) / np.float32(tones - 1), tones)
    return flat + np.float32(30) * (_fractal(rng, size)[..., None] - np.float32(0.5))


def _blobs(rng: Chance, size: Size) -> Canvas:
    """Patches without a name on top of each other, large and small: crooked ones, slats, long ovals."""
    picture = Image.fromarray(_bytes(_photo(rng, size)))
    pen = ImageDraw.Draw(picture)
    vivid = pick(rng, (0.1, 0.3, 0.6))
    for _ in range(int(rng.integers(8, 50))):
        radius = between(rng, 0.03, 0.3) ** 1.5 * 2 * max(size)
        outline = weighted(rng, {_crooked: 0.6, _slat: 0.2, _oval: 0.2})(rng, size, radius)
        pen.polygon(outline, fill=_ink(any_tone(rng, vivid)))
    grain = np.float32(40) * (_fractal(rng, size)[..., None] - np.float32(0.5))
    return np.asarray(picture, np.float32) + grain


def _slat(rng: Chance, size: Size, radius: float) -> Outline:
    """Corners of a strip that is far too long for a square."""
    thick = radius * between(rng, 0.08, 0.28)
    return _moved(rng, size, [(-radius, -thick), (radius, -thick), (radius, thick), (-radius, thick)])


def _oval(rng: Chance, size: Size, radius: float) -> Outline:
    """Corners of an oval that is far too long for a circle."""
    thick = radius * between(rng, 0.25, 0.5)
    angles = [2 * math.pi * k / 36 for k in range(36)]
    return _moved(rng, size, [(radius * math.cos(angle), thick * math.sin(angle)) for angle in angles])


def _crooked(rng: Chance, size: Size, radius: float) -> Outline:
    """Corners of a patch that is no shape with a name."""
    angles = np.arange(28) * (2 * math.pi / 28)
    waves = [(n, between(rng, 0.15, 0.4) / math.sqrt(n - 1), between(rng, 0, 7)) for n in (2, 3, 4, 6)]
    lengths = radius * np.maximum(1 + sum(a * np.sin(n * angles + start) for n, a, start in waves), 0.2)
    stretch = between(rng, 0.4, 1)
    corners = [(r * math.cos(t), stretch * r * math.sin(t)) for r, t in zip(lengths, angles, strict=True)]
    return _moved(rng, size, corners)


def _moved(rng: Chance, size: Size, corners: Outline) -> Outline:
    """Turned, and put anywhere."""
    x, y, angle = between(rng, 0, size[1]), between(rng, 0, size[0]), between(rng, 0, 2 * math.pi)
    cosine, sine = math.cos(angle), math.sin(angle)
    return [(x + cosine * u - sine * v, y + sine * u + cosine * v) for u, v in corners]


def _with_clutter(rng: Chance, pixels: Canvas) -> Canvas:
    """Thin lines and specks, both too small to be figures."""
    height, width = pixels.shape[:2]
    picture = Image.fromarray(_bytes(pixels))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(3, 40))):
        tone = _ink(any_tone(rng))
        if happens(rng, 0.5):
            points = [(between(rng, 0, width), between(rng, 0, height)) for _ in range(pick(rng, (2, 2, 3)))]
            pen.line(points, fill=tone, width=pick(rng, (1, 1, 1, 2)))
        else:
            speck = between(rng, 0.006, 0.018) * min(height, width)
            pen.polygon(_crooked(rng, (height, width), speck), fill=tone)
    return np.asarray(picture, np.float32)


def _ink(tone: Tone) -> tuple[int, int, int]:
    return int(tone[0]), int(tone[1]), int(tone[2])


def _bytes(pixels: Canvas) -> np.ndarray:
    return np.clip(pixels, 0, 255).astype(np.uint8)


_STYLES = {
    "plain": 3.0,
    "gradient": 2.0,
    "noise": 2.0,
    "soft": 1.5,
    "stripes": 1.2,
    "paper": 0.8,
    "photo": 2.5,
    "regions": 0.8,
    "blobs": 1.2,
}
_PAINTERS: dict[str, Callable[[Chance, Size], Canvas]] = {
    "plain": _plain,
    "gradient": _gradient,
    "noise": _noise,
    "soft": _soft,
    "stripes": _stripes,
    "paper": _paper,
    "photo": _photo,
    "regions": _regions,
    "blobs": _blobs,
}
