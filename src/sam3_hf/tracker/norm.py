"""Layer norm over the channels of a grid."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

# So few channels are normalised plane by plane, in place, where nothing learns: cell by cell, each would be a call.
_FEW = 8


class ChannelNorm(nn.LayerNorm):
    """Each cell of a grid [B, C, H, W] is normalised on its own."""

    def forward(self, grid: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Normalise over the channels."""
        if grid.shape[1] > _FEW or grid.device.type != "cpu" or torch.is_grad_enabled():
            return super().forward(grid.movedim(1, -1)).movedim(-1, 1)
        planes = grid.float()
        planes = planes - planes.mean(1, keepdim=True)
        planes.mul_((planes.square().mean(1, keepdim=True) + self.eps).rsqrt_())
        return planes.mul_(self.weight[:, None, None]).add_(self.bias[:, None, None]).to(grid.dtype)
