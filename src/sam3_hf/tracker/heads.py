"""Heads: linear layers with ReLU between them, as the tracker's checkpoints name them.

tokens [..., C] -> answers [..., D]
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sam3_hf.layers.linear import Linear


class Mlp(nn.Module):
    """`proj_in`, as many `layers` as the depth leaves room for, `proj_out`."""

    def __init__(self, width: int, inner: int, outputs: int, depth: int = 3) -> None:
        super().__init__()
        self.proj_in = Linear(width, inner)
        self.layers = nn.ModuleList(Linear(inner, inner) for _ in range(depth - 2))
        self.proj_out = Linear(inner, outputs)

    def forward(self, tokens: Float[Tensor, "*B C"]) -> Float[Tensor, "*B D"]:
        """Apply the layers in turn."""
        x = F.relu(self.proj_in(tokens))
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.proj_out(x)
