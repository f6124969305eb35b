"""Images and segmentation maps, in whatever form they come, as tensors.

PIL image, file, NumPy array or tensor -> channels first [3, H, W], uint8 or float32
PIL image, NumPy array or tensor of labels -> [H, W], int64

Files and PIL images are turned upright by their EXIF orientation first.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from PIL import Image, ImageOps
from torch import Tensor
from transformers.image_utils import ChannelDimension, load_image

_CHANNELS = (1, 3, 4)
_PLAIN_MODES = ("RGB", "L", "F")
# Pillow warns when a palette with transparency goes to RGB directly, and has no direct way for premultiplied alpha.
_VIA = {"P": "RGBA", "PA": "RGBA", "La": "LA"}


def as_list(images: Any, dimensions: int) -> list[Any]:
    """One image, a list of them, or a batched array of one dimension more than `dimensions`, as a list."""
    if isinstance(images, (list, tuple)):
        if not images:
            raise ValueError("Pass at least one image; got an empty list.")
        return list(images)
    batched = isinstance(images, (np.ndarray, Tensor)) and images.ndim == dimensions + 1
    return list(images) if batched else [images]


def read_image(image: Any, order: str | None, convert_rgb: bool) -> Shaped[Tensor, "3 H W"]:
    """One image as RGB, channels first: uint8, or float32 with its values untouched.

    Alpha is dropped, grey is repeated, 16-bit values are brought to 8 bits.

    Args:
        image: PIL image, file name, URL, array or tensor; arrays are `(H, W)`, `(C, H, W)` or `(H, W, C)`, with 1, 3 or
            4 channels.
        order: `"channels_first"` or `"channels_last"` for arrays; `None` infers it from the channel count.
        convert_rgb: Whether images that are not RGB are converted; otherwise they are refused.

    Raises:
        ValueError: Not an image, or an array whose shape, order, type or values cannot be those of an image.
    """
    opened = _without_palette(_open(image))
    values = _values(opened)
    picture = _channels_first(values, ChannelDimension.LAST if isinstance(opened, Image.Image) else order)
    if min(picture.shape) == 0:
        raise ValueError(f"An image needs at least one pixel; got shape {tuple(values.shape)}.")
    if len(picture) != 3 and not convert_rgb:
        raise ValueError(f"Got an image of {len(picture)} channel(s); pass RGB images or do_convert_rgb=True.")
    picture = picture.expand(3, -1, -1) if len(picture) == 1 else picture[:3]
    return _bring_to_8_bits(picture)


def read_map(labels: Any) -> Int64[Tensor, "H W"]:
    """One segmentation map: `(H, W)` or `(1, H, W)` whole numbers; the palette index of a palette image.

    Raises:
        ValueError: Not a map, or not whole numbers.
    """
    values = _values(_open(labels))
    values = values[0] if values.ndim == 3 and len(values) == 1 else values
    if values.ndim != 2 or values.numel() == 0:
        raise ValueError(f"A segmentation map has shape (height, width); got {tuple(values.shape)}.")
    if values.is_floating_point() and not (values.isfinite() & (values == values.round())).all():
        raise ValueError(
            "A segmentation map holds whole numbers (class or object ids); got fractions, NaN or infinity."
        )
    return values.long()


def _open(image: Any) -> Any:
    """Read files, turn PIL images upright."""
    name = str(image) if isinstance(image, (str, Path)) else "this PIL image"
    try:
        image = _open_file(name) if isinstance(image, (str, Path)) else image
        return ImageOps.exif_transpose(image) if isinstance(image, Image.Image) else image
    except OSError as error:
        raise ValueError(f"Cannot open {name!r} as an image: {error}") from error


def _open_file(name: str) -> Image.Image:
    if name.startswith(("http://", "https://")):
        return load_image(name)
    with Image.open(name) as image:
        image.load()
        return image


def _without_palette(image: Any) -> Any:
    """PIL images as RGB, grey, 16-bit or float; transparency is dropped, not blended, as `convert("RGB")` drops it."""
    if not isinstance(image, Image.Image) or image.mode in _PLAIN_MODES or image.mode.startswith("I"):
        return image
    return image.convert(_VIA.get(image.mode, "RGB")).convert("RGB")


def _values(image: Any) -> Shaped[Tensor, "*S"]:
    """The numbers of an image, in any layout."""
    if isinstance(image, Tensor) and not image.is_complex():
        return image.detach()
    if isinstance(image, Image.Image):
        # Pillow holds 16-bit grey as "I;16" and, in older versions, as 32-bit "I".
        image = np.asarray(image) if image.mode != "I" else _sixteen_bits(np.asarray(image))
    if not isinstance(image, np.ndarray) or image.dtype.kind not in "biuf":
        kind = f"numbers of type {image.dtype}" if isinstance(image, (np.ndarray, Tensor)) else type(image).__name__
        raise ValueError(f"An image is a PIL image, a file name, or an array or tensor of numbers; got {kind}.")
    return torch.from_numpy(np.array(image, dtype=image.dtype.newbyteorder("=")))


def _sixteen_bits(values: np.ndarray) -> np.ndarray:
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("A PIL image of mode I is read as 16-bit grey, 0..65535; convert others to L or RGB first.")
    return values.astype(np.uint16)


def _channels_first(values: Shaped[Tensor, "*S"], order: str | None) -> Shaped[Tensor, "C H W"]:
    if values.ndim == 2:
        return values[None]
    if values.ndim != 3:
        raise ValueError(f"An image array has 2 or 3 dimensions (a batch 4); got shape {tuple(values.shape)}.")
    if order not in (None, ChannelDimension.FIRST, ChannelDimension.LAST):
        raise ValueError(f'input_data_format is "channels_first" or "channels_last"; got {order!r}.')
    if (order or _infer_order(values)) == ChannelDimension.LAST:
        values = values.permute(2, 0, 1)
    if len(values) not in _CHANNELS:
        raise ValueError(f"An image has 1, 3 or 4 channels; got {len(values)} of them, {order}.")
    return values


def _infer_order(values: Shaped[Tensor, "a b c"]) -> ChannelDimension:
    first, last = (values.shape[i] in _CHANNELS for i in (0, 2))
    if first == last:
        problem = "could have its channels first or last" if first else "has neither 1, 3 nor 4 channels"
        raise ValueError(
            f"An image of shape {tuple(values.shape)} {problem}; "
            'pass RGB or grey and, where needed, input_data_format="channels_first" or "channels_last".'
        )
    return ChannelDimension.FIRST if first else ChannelDimension.LAST


def _bring_to_8_bits(picture: Shaped[Tensor, "3 H W"]) -> Shaped[Tensor, "3 H W"]:
    """Whole numbers as uint8, fractions as float32."""
    if picture.dtype == torch.uint8:
        return picture
    if picture.is_floating_point():
        return picture.float()
    if picture.dtype == torch.bool:
        return picture.to(torch.uint8) * 255
    if picture.dtype == torch.uint16:
        return ((picture.int() + 128) // 257).to(torch.uint8)
    whole = picture.long()
    if whole.min() < 0 or whole.max() > 255:
        raise ValueError("Whole numbers of an image must lie in 0..255; pass uint16 for 16-bit images.")
    return whole.to(torch.uint8)
