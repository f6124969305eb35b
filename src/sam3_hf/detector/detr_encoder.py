"""DETR encoder: image tokens read the prompt.

tokens [P or 1, N, C] and prompt [P, L, C] -> memory [P, N, C]
"""

from jaxtyping import Float
from torch import Tensor, nn

from sam3_hf.configuration_sam3 import Sam3DETREncoderConfig
from sam3_hf.layers.attention import padding_mask
from sam3_hf.layers.transformer import PreNormLayer
from sam3_hf.ops.tokens import PaddedTokens


class DetrEncoderLayer(PreNormLayer):
    """Image tokens look at each other, then at the prompt."""

    def forward(
        self, tokens: Float[Tensor, "#P N C"], positions: Float[Tensor, "#P N C"], prompt: PaddedTokens
    ) -> Float[Tensor, "P N C"]:
        """Positions join queries and keys of the first attention only."""
        x = self.layer_norm1(tokens)
        placed = x + positions
        tokens = tokens + self.dropout(self.self_attn(placed, placed, x).output)
        x = self.layer_norm2(tokens)
        read = self.cross_attn(x, prompt.values, prompt.values, padding_mask(prompt.valid)).output
        tokens = tokens + self.dropout(read)
        return tokens + self.dropout(self.mlp(self.layer_norm3(tokens)))


class DetrEncoder(nn.Module):
    """A stack of layers without a norm at the end."""

    def __init__(self, config: Sam3DETREncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(DetrEncoderLayer(config) for _ in range(config.num_layers))

    def forward(
        self, tokens: Float[Tensor, "#P N C"], positions: Float[Tensor, "#P N C"], prompt: PaddedTokens
    ) -> Float[Tensor, "P N C"]:
        """Image tokens that know the prompt; tokens that all prompts share look at each other once."""
        if self.training:
            # Every prompt has a dropout of its own.
            tokens = tokens.expand(len(prompt.values), -1, -1)
        for layer in self.layers:
            tokens = layer(tokens, positions, prompt)
        return tokens
