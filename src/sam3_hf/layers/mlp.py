"""Feed-forward layers: `FeedForward` between attentions, `Head` where a vector becomes an answer.

tokens [..., C] -> tokens [..., C]
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers.activations import ACT2FN

from sam3_hf.layers.linear import Linear, is_plain
from sam3_hf.ops.products import fuses_gelu, linear_gelu, onednn_computes


@runtime_checkable
class FeedForwardConfig(Protocol):
    """What a feed-forward layer reads from a part's configuration."""

    hidden_size: int
    intermediate_size: int
    hidden_act: str


# Activations that can be written over their input; "gelu" is the exact one.
_IN_PLACE = {"gelu": torch.ops.aten.gelu_, "relu": torch.relu_}

# Bytes of widened tokens that a CPU's cache holds; more of them at once also come as fresh, slow pages of memory.
_CACHED = 2**24


class FeedForward(nn.Module):
    """Widen, bend, narrow."""

    def __init__(self, config: FeedForwardConfig, dropout: float) -> None:
        super().__init__()
        self.fc1 = Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = Linear(config.intermediate_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.in_place = _IN_PLACE.get(config.hidden_act)
        self.is_gelu = config.hidden_act == "gelu"
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """Think for each token."""
        return _part_by_part(self._think, tokens, self.fc1.out_features)

    def _think(self, tokens: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """Widen, bend, narrow."""
        return self.fc2(self.dropout(self._widen(tokens)))

    def _widen(self, tokens: Float[Tensor, "*B C"]) -> Float[Tensor, "*B D"]:
        """Widen and bend, in one step where the layer is no more than a product."""
        widening = self.fc1
        if self.is_gelu and is_plain(widening) and fuses_gelu(tokens, widening.weight):
            return linear_gelu(tokens, widening.weight, widening.bias)
        return self._bend(widening(tokens))

    def _bend(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """Apply the activation, in place unless a gradient will ask for what was there before.

        The widest tensor of a layer is made here; on a CPU a second one of its size takes longer than the function.
        """
        if self.in_place is None or torch.is_grad_enabled():
            return self.activation(hidden)
        return self.in_place(hidden)


class Head(nn.Module):
    """Linear layers `layer1`, `layer2`, ... through the given widths, with ReLU between them."""

    def __init__(self, *widths: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.depth, self.widest = len(widths) - 1, max(widths)
        self.dropout = dropout
        for index in range(self.depth):
            setattr(self, f"layer{index + 1}", Linear(widths[index], widths[index + 1]))

    def forward(self, tokens: Float[Tensor, "*B C"]) -> Float[Tensor, "*B D"]:
        """Apply the layers in turn."""
        return _part_by_part(self._answer, tokens, self.widest)

    def _answer(self, tokens: Float[Tensor, "*B C"]) -> Float[Tensor, "*B D"]:
        for index in range(1, self.depth):
            tokens = F.relu(getattr(self, f"layer{index}")(tokens), inplace=not torch.is_grad_enabled())
            tokens = F.dropout(tokens, self.dropout, self.training)
        return getattr(self, f"layer{self.depth}")(tokens)


def _part_by_part(
    function: Callable[[Tensor], Tensor], tokens: Float[Tensor, "*B C"], width: int
) -> Float[Tensor, "*B D"]:
    """Call a function of each token; on a CPU for so many at a time that tensors of this width stay near."""
    if not onednn_computes(tokens):
        return function(tokens)
    rows = tokens.flatten(0, -2)
    parts = -(-len(rows) * width * rows.element_size() // _CACHED)
    if parts < 2:
        return function(tokens)
    return torch.cat([function(part) for part in rows.chunk(parts)]).unflatten(0, tokens.shape[:-1])
