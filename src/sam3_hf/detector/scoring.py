"""Scoring: how well a query matches the prompt.

queries [..., P, Q, C] . mean of the prompt [P, C] -> logits [..., P, Q]
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam3_hf.configuration_sam3 import Sam3DETRDecoderConfig
from sam3_hf.layers.linear import Linear
from sam3_hf.layers.mlp import Head
from sam3_hf.layers.norm import layer_norm
from sam3_hf.ops.tokens import PaddedTokens, mean_of_real

LOGIT_LIMIT = 12.0


class DotProductScoring(nn.Module):
    """Query times prompt."""

    def __init__(self, config: Sam3DETRDecoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.text_mlp = Head(width, config.intermediate_size, width, dropout=config.dropout)
        self.text_mlp_out_norm = layer_norm(width)
        self.text_proj = Linear(width, width)
        self.query_proj = Linear(width, width)
        self.scaling = width**-0.5

    def forward(self, queries: Float[Tensor, "*L P Q C"], prompt: PaddedTokens) -> Float[Tensor, "*L P Q"]:
        """Logits within +-12."""
        meaning = self.text_mlp_out_norm(prompt.values + self.text_mlp(prompt.values))
        meaning = self.text_proj(mean_of_real(PaddedTokens(meaning, prompt.valid)))
        logits = torch.einsum("...pqc,pc->...pq", self.query_proj(queries), meaning) * self.scaling
        return logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
