"""The road of an image to the model: resize, rescale, normalize; and that of a segmentation map.

picture [3, H, W], uint8 or float32 -> pixel values [3, h, w], float32
map [H, W], int64 -> labels [h, w], int64
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float32, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from sam3_hf.inputs.sizes import read_size

# Pillow's numbers for the filters that PyTorch has too.
_FILTERS = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes pixel values; the defaults are those of SAM 3.

    Args:
        do_convert_rgb: Convert grey, palette and transparent images; otherwise refuse them.
        do_resize: Resize to `size`, without keeping the aspect ratio.
        size: Model input in pixels: `{"height": ..., "width": ...}`, `(height, width)` or one number for a square.
        resample: Pillow's number of the filter: 0 (nearest), 2 (bilinear) or 3 (bicubic).
        do_rescale: Multiply by `rescale_factor`. Images given as fractions in 0..1 need `do_rescale=False`.
        rescale_factor: Brings 0..255 to 0..1.
        do_normalize: Subtract `image_mean`, divide by `image_std`.
        image_mean: One number or one per channel, in units of the rescaled image.
        image_std: One number or one per channel, in units of the rescaled image.
        mask_size: Size of the labels, in the forms of `size`.
        fast_decode: Let the JPEG decoder shrink files that are at least twice as large as `size`, see
            `sam3_hf.inputs.reduced`. Faster, and close to the exact pixel values but not equal to them.

    Raises:
        ValueError: A value that cannot be used.
    """

    do_convert_rgb: bool = True
    do_resize: bool = True
    size: Any = (1008, 1008)
    resample: int = 2
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = True
    image_mean: Any = (0.5, 0.5, 0.5)
    image_std: Any = (0.5, 0.5, 0.5)
    mask_size: Any = (288, 288)
    fast_decode: bool = False

    def __post_init__(self) -> None:
        """Check, and bring every value to one form."""
        if self.resample not in _FILTERS:
            raise ValueError(f"resample is 0 (nearest), 2 (bilinear) or 3 (bicubic); got {self.resample!r}.")
        for name in ("size", "mask_size"):
            object.__setattr__(self, name, read_size(getattr(self, name), name))
        for name in ("image_mean", "image_std"):
            object.__setattr__(self, name, _three(getattr(self, name), name))
        if 0 in self.image_std:
            raise ValueError("image_std must not be zero.")
        if self.fast_decode and not self.do_resize:
            raise ValueError("fast_decode=True shrinks images while it reads them, so it needs do_resize=True.")

    def pixel_values(self, picture: Shaped[Tensor, "3 H W"]) -> Float32[Tensor, "3 h w"]:
        """One RGB image as the model takes it.

        Raises:
            ValueError: A float image whose values do not fit `do_rescale`.
        """
        if picture.is_floating_point():
            self._check_range(picture)
        pixels = self._resize(picture).float()
        if self.do_rescale:
            pixels = pixels * self.rescale_factor
        if self.do_normalize:
            mean, std = (pixels.new_tensor(triple)[:, None, None] for triple in (self.image_mean, self.image_std))
            pixels = (pixels - mean) / std
        return pixels

    def labels(self, values: Int64[Tensor, "H W"]) -> Int64[Tensor, "h w"]:
        """One segmentation map at `mask_size`; each label is that of the nearest place."""
        if not self.do_resize:
            return values
        # Double precision holds every label below 2^53; PyTorch has no resize for whole numbers.
        return F.interpolate(values[None, None].double(), self.mask_size, mode="nearest-exact")[0, 0].long()

    def _resize(self, picture: Shaped[Tensor, "3 H W"]) -> Shaped[Tensor, "3 h w"]:
        """Bytes stay bytes, as in the original, which resizes before it rescales."""
        if not self.do_resize:
            return picture
        mode = _FILTERS[self.resample]
        options = {"mode": mode, "antialias": mode != "nearest-exact"}
        if picture.dtype != torch.uint8 or picture.device.type == "cpu":
            return F.interpolate(picture[None], self.size, **options)[0]
        return F.interpolate(picture[None].float(), self.size, **options)[0].round().clamp(0, 255).to(torch.uint8)

    def _check_range(self, picture: Float32[Tensor, "3 H W"]) -> None:
        if not picture.isfinite().all():
            raise ValueError("The image holds NaN or infinite values.")
        low, high = picture.min().item(), picture.max().item()
        if self.do_rescale and not (low >= 0 and high <= 255 and (high > 1 or high == 0)):
            raise ValueError(
                f"The values of this float image lie in {low:.4g}..{high:.4g}, but do_rescale=True expects 0..255; "
                "pass do_rescale=False for values in 0..1, or uint8."
            )
        if not self.do_rescale and self.do_normalize and not (low >= 0 and high <= 1):
            raise ValueError(
                f"The values of this float image lie in {low:.4g}..{high:.4g}, but do_rescale=False expects 0..1; "
                "pass do_rescale=True for values in 0..255, or do_normalize=False for normalized ones."
            )


def _three(values: Any, name: str) -> tuple[float, float, float]:
    """One number per channel."""
    values = [values] * 3 if isinstance(values, (int, float)) else values
    if (
        not isinstance(values, (list, tuple))
        or len(values) != 3
        or not all(isinstance(v, (int, float)) for v in values)
    ):
        raise ValueError(f"{name} is one number or three, one per channel; got {values!r}.")
    return values[0], values[1], values[2]
