"""Feed-forward layers: `FeedForward` between attentions, `Head` where a vector becomes an answer.

tokens [..., C] -> tokens [..., C]
"""

from typing import Protocol, runtime_checkable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers.activations import ACT2FN


@runtime_checkable
class FeedForwardConfig(Protocol):
    """What a feed-forward layer reads from a part's configuration."""

    hidden_size: int
    intermediate_size: int
    hidden_act: str


class FeedForward(nn.Module):
    """Widen, bend, narrow."""

    def __init__(self, config: FeedForwardConfig, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """Widen, bend, narrow."""
        return self.fc2(self.dropout(self.activation(self.fc1(tokens))))


class Head(nn.Module):
    """Linear layers `layer1`, `layer2`, ... through the given widths, with ReLU between them."""

    def __init__(self, *widths: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.depth = len(widths) - 1
        self.dropout = dropout
        for index in range(self.depth):
            setattr(self, f"layer{index + 1}", nn.Linear(widths[index], widths[index + 1]))

    def forward(self, tokens: Float[Tensor, "*B C"]) -> Float[Tensor, "*B D"]:
        """Apply the layers in turn."""
        for index in range(1, self.depth):
            tokens = F.relu(getattr(self, f"layer{index}")(tokens))
            tokens = F.dropout(tokens, self.dropout, self.training)
        return getattr(self, f"layer{self.depth}")(tokens)
