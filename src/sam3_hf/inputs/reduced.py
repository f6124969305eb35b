"""Large JPEG files at half, a quarter or an eighth of their size, for a model that would shrink them anyway.

file, size that must be kept -> pixels [3, h, w], uint8, and the size (height, width) of the image they show
"""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Shaped
from PIL import ExifTags, Image
from torch import Tensor

from sam3_hf.inputs.images import read_image

_LYING_ORIENTATIONS = (5, 6, 7, 8)


@dataclass(frozen=True)
class ReducedImage:
    """Pixels of an image, perhaps fewer than it has, and its own size; image processors take it for the image."""

    pixels: Shaped[Tensor, "3 h w"]
    size: tuple[int, int]


def read_reduced(path: str | Path, at_least: tuple[int, int], convert_rgb: bool = True) -> ReducedImage:
    """Read a file; the JPEG decoder leaves out the detail that an image of `at_least` (height, width) cannot show.

    The result is upright and no smaller than `at_least` along either side, unless the image is. Files of other kinds
    are read whole.

    Raises:
        ValueError: Not an image.
    """
    try:
        with Image.open(path) as image:
            is_lying = image.getexif().get(ExifTags.Base.Orientation) in _LYING_ORIENTATIONS
            width, height = image.size
            image.draft(None, at_least if is_lying else at_least[::-1])  # pyright: ignore[reportArgumentType]
            image.load()
    except OSError as error:
        raise ValueError(f"Cannot open {str(path)!r} as an image: {error}") from error
    return ReducedImage(read_image(image, None, convert_rgb), (width, height) if is_lying else (height, width))
