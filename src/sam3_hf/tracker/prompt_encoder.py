"""Prompt encoder: points become tokens, a mask becomes a grid that is added to the image.

clicks: points [R, M, 2], labels [R, M] -> tokens [R, M + 1, C], which of them are real
masks [R, 1, 4H, 4W] (logits)           -> grid [R, C, H, W], or [1, C, 1, 1] for "no mask"
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers.activations import ACT2FN

from sam3_hf.configuration_sam3_tracker import Sam3TrackerPromptEncoderConfig
from sam3_hf.layers.embedding import all_rows
from sam3_hf.ops.tokens import PaddedTokens
from sam3_hf.tracker.norm import ChannelNorm
from sam3_hf.tracker.positions import FourierPositions
from sam3_hf.tracker.prompts import NOT_A_POINT, PADDING, Clicks


class EncodedPrompt(NamedTuple):
    """What the mask decoder reads: one token per point, and what the mask adds to every cell of the image."""

    tokens: PaddedTokens
    grid: Float[Tensor, "r C h w"]


class MaskEmbedding(nn.Module):
    """A mask, made four times smaller and as wide as the image features."""

    def __init__(self, config: Sam3TrackerPromptEncoderConfig) -> None:
        super().__init__()
        narrow, wide = config.mask_input_channels // 4, config.mask_input_channels
        self.conv1 = nn.Conv2d(1, narrow, 2, 2)
        self.layer_norm1 = ChannelNorm(narrow, eps=config.layer_norm_eps)
        self.conv2 = nn.Conv2d(narrow, wide, 2, 2)
        self.layer_norm2 = ChannelNorm(wide, eps=config.layer_norm_eps)
        self.conv3 = nn.Conv2d(wide, config.hidden_size, 1)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, masks: Float[Tensor, "R 1 h w"]) -> Float[Tensor, "R C H W"]:
        """Halve the mask twice, then widen."""
        x = self.activation(self.layer_norm1(self.conv1(masks)))
        x = self.activation(self.layer_norm2(self.conv2(x)))
        return self.conv3(x)


class PromptEncoder(nn.Module):
    """Points, corners of boxes and masks."""

    def __init__(self, config: Sam3TrackerPromptEncoderConfig) -> None:
        super().__init__()
        self.shared_embedding = FourierPositions(config.hidden_size, config.scale)
        self.mask_embed = MaskEmbedding(config)
        self.no_mask_embed = nn.Embedding(1, config.hidden_size)
        self.point_embed = nn.Embedding(config.num_point_embeddings, config.hidden_size)
        self.not_a_point_embed = nn.Embedding(1, config.hidden_size)

    def forward(self, clicks: Clicks, masks: Float[Tensor, "R 1 h w"] | None, size: tuple[int, int]) -> EncodedPrompt:
        """Encode what was said about each object; `size` is the image's grid of patches times the patch, in pixels."""
        return EncodedPrompt(self._tokens(clicks, size), self._grid(masks, clicks.points))

    def _tokens(self, clicks: Clicks, size: tuple[int, int]) -> PaddedTokens:
        """One token per point and, where there is any point, one that is none."""
        # Parity: the token that is no point closes every list of points, but an object without points has no token.
        labels = F.pad(clicks.labels, (0, 1), value=NOT_A_POINT)
        said = clicks.labels != PADDING
        valid = torch.cat([said, said.any(1, keepdim=True)], 1)
        height, width = size
        # Parity: half a pixel is added to the coordinate of a pixel's corner as well, even where it is a box's edge.
        extent = torch.tensor([width, height], dtype=torch.float32).to(clicks.points.device, non_blocking=True)
        places = (F.pad(clicks.points, (0, 0, 0, 1)) + 0.5) / extent
        positions = self.shared_embedding(places) * (labels >= 0).unsqueeze(-1)
        kinds = torch.cat([all_rows(self.not_a_point_embed, positions), all_rows(self.point_embed, positions)])
        return PaddedTokens(positions + kinds[labels.clamp(min=NOT_A_POINT) + 1], valid)

    def _grid(self, masks: Float[Tensor, "R 1 h w"] | None, like: Tensor) -> Float[Tensor, "r C H W"]:
        """The mask's embedding, or one cell that stands for "no mask" everywhere."""
        if masks is None:
            return all_rows(self.no_mask_embed, like)[:, :, None, None]
        return self.mask_embed(masks.to(self.mask_embed.conv1.weight.dtype))
