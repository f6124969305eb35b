"""Layer norm over the channels of a grid."""

from jaxtyping import Float
from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Each cell of a grid [B, C, H, W] is normalised on its own."""

    def forward(self, grid: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Normalise over the channels."""
        return super().forward(grid.movedim(1, -1)).movedim(-1, 1)
