"""Text encoder: token ids become features, with the state-dict keys of a CLIP text model.

input_ids [B, L] -> embeddings [B, L, W] -> causal layers -> last_hidden_state [B, L, W]
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import CLIPTextConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from sam3_hf.layers.attention import Attended, attend, split_heads
from sam3_hf.layers.linear import Linear
from sam3_hf.layers.mlp import FeedForward


def _norm(config: CLIPTextConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, config.layer_norm_eps)  # pyright: ignore[reportArgumentType]


class CausalAttention(nn.Module):
    """Each token reads itself and those before it."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.config = config
        self.heads = config.num_attention_heads
        self.scaling = (config.hidden_size // self.heads) ** -0.5
        self.dropout = config.attention_dropout
        self.is_causal = True
        self.q_proj = Linear(config.hidden_size, config.hidden_size)
        self.k_proj = Linear(config.hidden_size, config.hidden_size)
        self.v_proj = Linear(config.hidden_size, config.hidden_size)
        self.out_proj = Linear(config.hidden_size, config.hidden_size)

    def forward(self, tokens: Float[Tensor, "B L W"]) -> Attended:
        """Read backwards."""
        # Parity: padding is not masked; it stands on the right, where no real token looks.
        projections = (self.q_proj, self.k_proj, self.v_proj)
        query, key, value = (split_heads(project(tokens), self.heads) for project in projections)
        attended = attend(self, query, key, value, causal=True)
        return Attended(self.out_proj(attended.output), attended.weights)


class TextLayer(GradientCheckpointingLayer):
    """One pre-norm layer."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.layer_norm1 = _norm(config)
        self.self_attn = CausalAttention(config)
        self.layer_norm2 = _norm(config)
        self.mlp = FeedForward(config, dropout=0.0)

    def forward(self, tokens: Float[Tensor, "B L W"]) -> Float[Tensor, "B L W"]:
        """Read backwards, then think."""
        tokens = tokens + self.self_attn(self.layer_norm1(tokens)).output
        return tokens + self.mlp(self.layer_norm2(tokens))


class TextEmbeddings(nn.Module):
    """Tokens plus where they stand."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = nn.Embedding(config.max_position_embeddings, config.hidden_size)

    def forward(self, input_ids: Int[Tensor, "B L"]) -> Float[Tensor, "B L W"]:
        """Look up both and add."""
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        return self.token_embedding(input_ids) + self.position_embedding(positions)


class TextLayers(nn.Module):
    """The stack of layers."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TextLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, tokens: Float[Tensor, "B L W"]) -> Float[Tensor, "B L W"]:
        """Apply the layers in turn."""
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens


class TextTransformer(nn.Module):
    """Embeddings, layers, norm."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.embeddings = TextEmbeddings(config)
        self.encoder = TextLayers(config)
        self.final_layer_norm = _norm(config)

    def forward(self, input_ids: Int[Tensor, "B L"]) -> Float[Tensor, "B L W"]:
        """Embed, read, normalise."""
        return self.final_layer_norm(self.encoder(self.embeddings(input_ids)))


class TextEncoder(nn.Module):
    """Token ids to features."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.config = config
        self.text_model = TextTransformer(config)
        # Parity: checkpoints hold CLIP's projection; SAM 3 reads the tokens before it and never runs it.
        self.text_projection = Linear(config.hidden_size, config.projection_dim, bias=False)  # pyright: ignore[reportArgumentType]

    def forward(self, input_ids: Int[Tensor, "B L"], length: int) -> Float[Tensor, "B L W"]:
        """Features of the first `length` tokens of each row, and zeros after them.

        Raises:
            ValueError: There are more tokens than the model has positions for.
        """
        limit = self.config.max_position_embeddings
        if input_ids.shape[1] > limit:
            raise ValueError(f"input_ids may have up to {limit} tokens per row, got {input_ids.shape[1]}.")
        # No token reads a later one, so what stands after the longest text changes nothing.
        tokens = self.text_model(input_ids[:, :length])
        return F.pad(tokens, (0, 0, 0, input_ids.shape[1] - tokens.shape[1]))


def real_tokens(input_ids: Int[Tensor, "B L"]) -> Tensor:
    """Which tokens are not padding.

    The original pads with id 0 and masks every id 0, also the rare one inside a text.
    """
    return torch.ne(input_ids, 0)


def columns_read(real: Bool[Tensor, "*B L"]) -> int:
    """How many columns lead to the last real token of any row; all of them where a number would stop the device."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    if traced or real.device.type != "cpu":
        return real.shape[-1]
    return max(real.nonzero()[:, -1].tolist(), default=0) + 1
