"""The mask decoder's work on maps of pixels with room for few of them: on a CPU without gradients, to save memory.

coarse [P, C, h, w], level [P, C, H, W] -> enlarge, add, convolve, a band of rows at a time -> normalize group by group

Every number is that of the plain layers, up to rounding. Besides the level and the result there is never another map.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sam3_hf.ops.products import onednn_computes

_BANDS = 8


def fits(coarse: Float[Tensor, "P C h w"], level: Float[Tensor, "P C H W"]) -> bool:
    """Whether the stage can be computed in bands here."""
    return onednn_computes(coarse, level) and level.shape[2] % coarse.shape[2] == 0


def convolved(
    conv: nn.Module, coarse: Float[Tensor, "P C h w"], level: Float[Tensor, "P C H W"]
) -> Float[Tensor, "P C H W"]:
    """The coarse map, enlarged, plus the level, through a 3 x 3 convolution."""
    height, width = level.shape[2:]
    times = height // coarse.shape[2]
    result = torch.empty_like(level)
    for first, last in pairwise(height * number // _BANDS for number in range(_BANDS + 1)):
        # One row more on both sides; what is padded beyond them is right at the border, and cut off elsewhere.
        low, high = max(first - 1, 0), min(last + 1, height)
        start, end = low // times, -(-high // times)
        band = F.interpolate(coarse[:, :, start:end], size=((end - start) * times, width), mode="nearest")
        band = band[:, :, low - start * times : high - start * times].add_(level[:, :, low:high])
        result[:, :, first:last] = conv(band)[:, :, first - low : last - low]
    return result


def normalized(norm: Any, pixels: Float[Tensor, "P C H W"]) -> Float[Tensor, "P C H W"]:
    """A GroupNorm in place, as groups know nothing of each other; whole where it has hooks, or weights elsewhere."""
    if norm._forward_pre_hooks or norm._forward_hooks or not onednn_computes(pixels, norm.weight, norm.bias):
        return norm(pixels)
    width = pixels.shape[1] // norm.num_groups
    for start in range(0, pixels.shape[1], width):
        group = slice(start, start + width)
        pixels[:, group] = F.group_norm(pixels[:, group], 1, norm.weight[group], norm.bias[group], norm.eps)
    return pixels


def project_(conv: nn.Module, pixels: Float[Tensor, "P C H W"]) -> None:
    """A 1 x 1 convolution in place."""
    for band in pixels.split(-(-pixels.shape[2] // _BANDS), dim=2):
        band.copy_(conv(band))
