"""Neck: one grid of tokens becomes feature maps at several scales, fine to coarse.

grid [B, C, H, W] -> levels [B, D, s*H, s*W] for each scale s
"""

from jaxtyping import Float
from torch import Tensor, nn

from sam3_hf.configuration_sam3 import Sam3VisionConfig
from sam3_hf.ops.products import by_row

# Grids of so many numbers fill the processor's cache alone.
_LARGE = 1_000_000


def _scaling(channels: int, scale: float) -> nn.Sequential:
    """The layers that bring a grid of `channels` to `scale`; each doubling halves the channels."""
    half, quarter = channels // 2, channels // 4
    options = {
        4.0: lambda: [nn.ConvTranspose2d(channels, half, 2, 2), nn.GELU(), nn.ConvTranspose2d(half, quarter, 2, 2)],
        2.0: lambda: [nn.ConvTranspose2d(channels, half, 2, 2)],
        1.0: list,
        0.5: lambda: [nn.MaxPool2d(2, 2)],
    }
    if scale not in options:
        raise ValueError(f"scale_factors may hold {sorted(options)}, got {scale}.")
    return nn.Sequential(*options[scale]())


class FpnLayer(nn.Module):
    """One level of the pyramid."""

    def __init__(self, config: Sam3VisionConfig, scale: float) -> None:
        super().__init__()
        channels, width = config.backbone_config.hidden_size, config.fpn_hidden_size
        self.scale_layers = _scaling(channels, scale)
        self.proj1 = nn.Conv2d(int(channels / max(scale, 1)), width, 1)
        self.proj2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, grid: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Bring the grid to this level's scale and width."""
        (level,) = by_row(lambda grid: (self.proj2(self.proj1(self.scale_layers(grid))),), grid, least=_LARGE)
        return level


class Neck(nn.Module):
    """All levels of the pyramid, side by side."""

    def __init__(self, config: Sam3VisionConfig) -> None:
        super().__init__()
        self.scales = tuple(config.scale_factors)
        self.fpn_layers = nn.ModuleList(FpnLayer(config, scale) for scale in self.scales)

    def forward(self, grid: Float[Tensor, "B C H W"], coarsest: float = 0.0) -> tuple[Tensor, ...]:
        """One feature map per scale that is no coarser than wanted."""
        layers = zip(self.scales, self.fpn_layers, strict=True)
        return tuple(layer(grid) for scale, layer in layers if scale >= coarsest)
