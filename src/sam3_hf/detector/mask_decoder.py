"""Mask decoder: every query becomes a mask.

queries  [P, Q, C] -> mask embedding [P, Q, C] ------------.
levels   [B, C, Hi, Wi] + memory -> pixels [P, C, H, W] ---+-> masks [P, Q, H, W], semantic map [P, 1, H, W]
"""

from functools import partial
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from sam3_hf.configuration_sam3 import Sam3MaskDecoderConfig
from sam3_hf.detector import pixel_bands
from sam3_hf.detector.rows import take
from sam3_hf.layers.attention import Attention, padding_mask
from sam3_hf.layers.linear import Linear
from sam3_hf.layers.norm import layer_norm
from sam3_hf.ops.products import by_row, paired
from sam3_hf.ops.tokens import PaddedTokens, to_grid, to_tokens


class Masks(NamedTuple):
    """Logits of each query's mask, and of all matching objects together."""

    instances: Float[Tensor, "P Q H W"]
    semantic: Float[Tensor, "P 1 H W"]


class MaskEmbedder(nn.Module):
    """A query becomes a direction in pixel space."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Linear(width, width) for _ in range(3))

    def forward(self, queries: Float[Tensor, "P Q C"]) -> Float[Tensor, "P Q C"]:
        """Three layers with ReLU between them."""
        first, second, last = self.layers
        return last(F.relu(second(F.relu(first(queries)))))


class PixelDecoder(nn.Module):
    """From coarse to fine: enlarge, add the finer level, smooth."""

    def __init__(self, config: Sam3MaskDecoderConfig) -> None:
        super().__init__()
        width, stages = config.hidden_size, config.num_upsampling_stages
        # Parity: checkpoints hold three stages, the pyramid feeds two; the third is loaded, never run.
        self.conv_layers = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(stages))
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for _ in range(stages))

    def forward(self, levels: tuple[Float[Tensor, "P C _ _"], ...]) -> Float[Tensor, "P C H W"]:
        """Features of every pixel of the finest level."""
        *finer, pixels = levels
        for conv, norm, level in zip(self.conv_layers, self.norms, reversed(finer), strict=False):
            if pixel_bands.fits(pixels, level):
                pixels = pixel_bands.normalized(norm, pixel_bands.convolved(conv, pixels, level))
            else:
                pixels = norm(conv(F.interpolate(pixels, size=level.shape[-2:], mode="nearest").add_(level)))
            pixels = F.relu(pixels, inplace=True)
        return pixels


class MaskDecoder(nn.Module):
    """Pixels that know the prompt, times queries."""

    def __init__(self, config: Sam3MaskDecoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.pixel_decoder = PixelDecoder(config)
        self.mask_embedder = MaskEmbedder(width)
        self.instance_projection = nn.Conv2d(width, width, 1)
        self.semantic_projection = nn.Conv2d(width, 1, 1)
        self.prompt_cross_attn = Attention(config, config.dropout)
        self.prompt_cross_attn_norm = layer_norm(width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        queries: Float[Tensor, "P Q C"],
        levels: tuple[Float[Tensor, "B C _ _"], ...],
        memory: Float[Tensor, "P N C"],
        prompt: PaddedTokens,
        index: Int[Tensor, " P"],
    ) -> Masks:
        """The memory reads the prompt once more and takes the place of the coarsest level of its image, `index`."""
        x = self.prompt_cross_attn_norm(memory)
        read = self.prompt_cross_attn(x, prompt.values, prompt.values, padding_mask(prompt.valid)).output
        memory = memory + self.dropout(read)
        *finer, coarsest = levels
        grid = to_grid(memory, (coarsest.shape[2], coarsest.shape[3]))
        return Masks(*by_row(partial(self._draw, tuple(finer)), self.mask_embedder(queries), grid, index))

    def _draw(
        self,
        finer: tuple[Float[Tensor, "B C _ _"], ...],
        embeddings: Float[Tensor, "P Q C"],
        grid: Float[Tensor, "P C h w"],
        index: Int[Tensor, " P"],
    ) -> tuple[Float[Tensor, "P Q H W"], Float[Tensor, "P 1 H W"]]:
        """Logits of every query at every pixel, and of all matching objects together."""
        pixels = self.pixel_decoder((*(take(level, index) for level in finer), grid))
        semantic = self.semantic_projection(pixels)
        if pixel_bands.fits(pixels, pixels):
            pixel_bands.project_(self.instance_projection, pixels)
        else:
            pixels = self.instance_projection(pixels)
        return paired(embeddings, to_tokens(pixels)).unflatten(2, pixels.shape[2:]), semantic
