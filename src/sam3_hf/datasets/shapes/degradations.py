"""What cameras and files do to a picture, none of it enough to change a colour's name.

canvas [H, W, 3], harm -> tinted, noisy, blurred, compressed -> pixels [H, W, 3] uint8
"""

import io
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from sam3_hf.datasets.shapes.chance import between, happens
from sam3_hf.datasets.shapes.figures import Canvas


class Harm(NamedTuple):
    """What is done to a picture, and to all frames of a clip alike; the defaults do nothing."""

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: float = 0.0
    noise: float = 0.0
    is_noise_grey: bool = False
    blur: float = 0.0
    quality: int | None = None


def any_harm(rng: np.random.Generator) -> Harm:
    """Each of the harms now and then; `blur` is for a picture whose shorter side has 200 pixels."""
    light = between(rng, 0.9, 1.1) if happens(rng, 0.35) else 1.0
    is_tinted = happens(rng, 0.2)
    red, green, blue = (light * (between(rng, 0.95, 1.03) if is_tinted else 1.0) for _ in range(3))
    return Harm(
        gains=(red, green, blue),
        offset=between(rng, -8, 12) if happens(rng, 0.3) else 0.0,
        noise=between(rng, 8, 55) if happens(rng, 0.3) else 0.0,
        is_noise_grey=happens(rng, 0.4),
        blur=between(rng, 0.3, 1.0) if happens(rng, 0.25) else 0.0,
        quality=int(between(rng, 35, 95)) if happens(rng, 0.3) else None,
    )


def harmed(rng: np.random.Generator, canvas: Canvas, harm: Harm) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with this done to it."""
    canvas = canvas * np.asarray(harm.gains, np.float32) + np.float32(harm.offset)
    if harm.noise:
        shape = (*canvas.shape[:2], 1 if harm.is_noise_grey else 3)
        canvas += np.float32(harm.noise) * (rng.random(shape, np.float32) - np.float32(0.5))
    picture = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    if harm.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(harm.blur * min(picture.size) / 200))
    if harm.quality is not None:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=harm.quality)
        picture = Image.open(file).convert("RGB")
    return np.asarray(picture)
