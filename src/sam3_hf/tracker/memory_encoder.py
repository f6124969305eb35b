"""Memory encoder: an image and where an object was in it become what later frames look at.

image [B, C, H, W] -----------> projected --.
masks [R, 1, 16H, 16W] --> made smaller ----+--> fused --> memory [R, m, H, W]
"""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig
from sam3_hf.layers.linear import Linear
from sam3_hf.tracker.norm import ChannelNorm
from sam3_hf.tracker.rows import a_few_at_a_time, per_object

_NORM_EPS = 1e-6


class MaskStep(nn.Module):
    """One step: the mask becomes smaller and, to keep what it says, as many times wider."""

    def __init__(self, config: Sam3TrackerVideoConfig, channels: int, wider: int) -> None:
        super().__init__()
        stride, padding = config.mask_downsampler_stride, config.mask_downsampler_padding
        self.conv = nn.Conv2d(channels, wider, config.mask_downsampler_kernel_size, stride, padding)
        self.layer_norm = ChannelNorm(wider, eps=_NORM_EPS)
        self.activation = ACT2FN[config.mask_downsampler_hidden_act]

    def forward(self, masks: Float[Tensor, "R c h w"]) -> Float[Tensor, "R D y x"]:
        """Make smaller, normalise, bend."""
        return self.activation(self.layer_norm(self.conv(masks)))


class MaskDownsampler(nn.Module):
    """A mask at the size of the patch grid, as wide as the image features."""

    def __init__(self, config: Sam3TrackerVideoConfig) -> None:
        super().__init__()
        stride = config.mask_downsampler_stride
        steps = round(math.log(config.mask_downsampler_total_stride, stride))
        widths = [stride ** (2 * step) for step in range(steps + 1)]
        self.layers = nn.ModuleList(MaskStep(config, *pair) for pair in pairwise(widths))
        self.final_conv = nn.Conv2d(widths[-1], config.mask_downsampler_embed_dim, 1)

    def forward(self, masks: Float[Tensor, "R 1 h w"]) -> Float[Tensor, "R C H W"]:
        """Apply the steps in turn."""
        for layer in self.layers:
            masks = layer(masks)
        return self.final_conv(masks)


class FuserLayer(GradientCheckpointingLayer):
    """Look around in each channel, then mix the channels of each cell."""

    def __init__(self, config: Sam3TrackerVideoConfig) -> None:
        super().__init__()
        width, inner = config.memory_fuser_embed_dim, config.memory_fuser_intermediate_dim
        kernel, padding = config.memory_fuser_kernel_size, config.memory_fuser_padding
        self.depthwise_conv = nn.Conv2d(width, width, kernel, padding=padding, groups=width)
        self.layer_norm = ChannelNorm(width, eps=_NORM_EPS)
        self.pointwise_conv1 = Linear(width, inner)
        self.pointwise_conv2 = Linear(inner, width)
        self.activation = ACT2FN[config.memory_fuser_hidden_act]
        self.initial_scale = config.memory_fuser_layer_scale_init_value
        self.scale = nn.Parameter(torch.full((width,), float(self.initial_scale)))

    def forward(self, grid: Float[Tensor, "R C H W"]) -> Float[Tensor, "R C H W"]:
        """Add what was seen around."""
        cells = self.layer_norm(self.depthwise_conv(grid)).movedim(1, -1)
        cells = self.pointwise_conv2(self.activation(self.pointwise_conv1(cells)))
        return grid + (self.scale * cells).movedim(-1, 1)


class MemoryFuser(nn.Module):
    """All layers that join image and mask."""

    def __init__(self, config: Sam3TrackerVideoConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FuserLayer(config) for _ in range(config.memory_fuser_num_layers))

    def forward(self, grid: Float[Tensor, "R C H W"]) -> Float[Tensor, "R C H W"]:
        """Apply the layers in turn."""
        for layer in self.layers:
            grid = layer(grid)
        return grid


class MemoryEncoder(nn.Module):
    """An image is projected once for all of its objects."""

    def __init__(self, config: Sam3TrackerVideoConfig) -> None:
        super().__init__()
        width = config.memory_encoder_hidden_size
        self.mask_downsampler = MaskDownsampler(config)
        self.feature_projection = nn.Conv2d(width, width, 1)
        self.memory_fuser = MemoryFuser(config)
        self.projection = nn.Conv2d(width, config.memory_encoder_output_channels, 1)

    def forward(self, image: Float[Tensor, "B C H W"], masks: Float[Tensor, "R 1 h w"]) -> Float[Tensor, "R m H W"]:
        """Join every object's mask with its image."""
        return a_few_at_a_time(self._join, (masks,), (self.feature_projection(image),))[0]

    def _join(self, masks: Float[Tensor, "R 1 h w"], image: Float[Tensor, "B C H W"]) -> tuple[Tensor]:
        """The projected image, as each object's mask lets it be remembered."""
        seen = per_object(image, len(masks))
        return (self.projection(self.memory_fuser(seen + self.mask_downsampler(masks))),)
