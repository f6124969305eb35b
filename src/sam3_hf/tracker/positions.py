"""Fourier positions: a place in the image as sines and cosines at random frequencies, the same for points and cells.

places [..., 2] (x, y in 0..1) -> positions [..., C]
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam3_hf.ops.tables import kept_table


class FourierPositions(nn.Module):
    """Positions at the frequencies that the checkpoint holds."""

    positional_embedding: Tensor

    def __init__(self, width: int, scale: float | int) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("positional_embedding", torch.zeros(2, width // 2))

    def forward(self, places: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B C"]:
        """Encode places; in float32 whatever the model's dtype, which the result has."""
        angles = 2 * math.pi * ((2 * places.float() - 1) @ self.positional_embedding.float())
        return torch.cat([angles.sin(), angles.cos()], dim=-1).to(self.positional_embedding.dtype)


@kept_table
def cell_centres(size: tuple[int, int], like: Tensor) -> Float[Tensor, "H W 2"]:
    """(x, y) of every cell centre of a grid of `size` (height, width) in 0..1, float32, on the device of `like`."""
    y, x = ((torch.arange(n, device=like.device, dtype=torch.float32) + 0.5) / n for n in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
