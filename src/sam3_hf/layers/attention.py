"""Attention: the one class of the vision and detector rooms, and the dispatch to a backend that all rooms share.

query [B, Q, C], key [B, N, C], value [B, N, C] -> output [B, Q, C], weights [B, K, Q, N] (eager only)
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import logging

from sam3_hf.layers.linear import Linear, is_plain
from sam3_hf.ops.products import onednn_computes, scaled_linear
from sam3_hf.ops.rotary import RotaryTable, rotate
from sam3_hf.ops.tiled_attention import BACKEND, GridBias, can_tile, scaling_in_tiles, tiled_attention

logger = logging.get_logger(__name__)


@runtime_checkable
class AttentionConfig(Protocol):
    """What attention reads from a part's configuration."""

    hidden_size: int
    num_attention_heads: int
    _attn_implementation: str | None


class Attended(NamedTuple):
    """What a query saw, and how strongly it looked where (`None` from backends that do not tell)."""

    output: Float[Tensor, "B Q C"]
    weights: Float[Tensor, "B K Q N"] | None


def eager_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor]:
    """Attention in plain PyTorch; `attention_mask` is bool (True = look) or a bias added to the logits."""
    logits = query @ key.transpose(2, 3) * options["scaling"]
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        logits = logits.masked_fill(~attention_mask, torch.finfo(logits.dtype).min)
    elif attention_mask is not None:
        logits = logits + attention_mask
    weights = logits.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, options["dropout"], module.training)
    return (weights @ value).transpose(1, 2), weights


def tiled_backend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **options: Any
) -> tuple[Tensor, None]:
    """The default: tile by tile on a CPU without gradients, `sdpa` everywhere else, in float32 if a CPU learns."""
    if can_tile(query, key, value) and not options["is_causal"] and not options["dropout"]:
        return tiled_attention(query, key, value, attention_mask, options["scaling"]), None
    attention_mask = attention_mask.dense() if isinstance(attention_mask, GridBias) else attention_mask
    run = ALL_ATTENTION_FUNCTIONS["sdpa"]
    if query.device.type != "cpu" or query.dtype == torch.float32 or not query.requires_grad:
        return run(module, query, key, value, attention_mask, **options)
    # On a CPU, gradients of attention in half precision take three times as long as those in float32.
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    with torch.autocast("cpu", enabled=False):
        output, _ = run(module, query.float(), key.float(), value.float(), attention_mask, **options)
    return output.to(query.dtype), None


ALL_ATTENTION_FUNCTIONS.register(BACKEND, tiled_backend)


def attend(
    module: nn.Module,
    query: Float[Tensor, "B K Q D"],
    key: Float[Tensor, "B K N D"],
    value: Float[Tensor, "B K N E"],
    mask: Bool[Tensor, "#B #K #Q N"] | Float[Tensor, "#B #K #Q N"] | GridBias | None = None,
    causal: bool = False,
    scaling: float | None = None,
) -> Attended:
    """Run the backend named by `module.config._attn_implementation`; logits are scaled by `module.scaling` by default.

    Only `eager`, `sdpa` and `tiled` take a mask or a bias, and `flex_attention` does not know `causal`. A call that its
    backend cannot take goes to `sdpa`, that call alone, and says so once.
    """
    config: Any = module.config
    backend: str = config._attn_implementation or BACKEND
    if backend not in ("eager", "sdpa", BACKEND) and (mask is not None or (causal and backend == "flex_attention")):
        if not torch.compiler.is_compiling():
            logger.warning_once(f"{backend} cannot take a mask or bias; those calls run on sdpa, the others stay.")
        backend = "sdpa"
    if isinstance(mask, GridBias) and backend != BACKEND:
        mask = mask.dense()
    run = ALL_ATTENTION_FUNCTIONS.get_interface(backend, eager_attention)
    dropout = module.dropout if module.training else 0.0
    if causal and backend == "eager":
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()[None, None]
    how = {"dropout": dropout, "scaling": module.scaling if scaling is None else scaling, "is_causal": causal}
    output, weights = run(module, query, key, value, attention_mask=mask, **how)
    return Attended(output.flatten(2), weights)


# Of a GPU whose cuDNN attends with values that are narrower than keys, the least compute capability: Hopper's.
_NARROW = (9, 0)


def takes_narrow_values(
    query: Float[Tensor, "B K Q D"], key: Float[Tensor, "B K N D"], value: Float[Tensor, "B K N E"]
) -> bool:
    """Whether the default backend gains from values that are narrower than keys, instead of losing its fast road."""
    if not query.is_cuda:
        return can_tile(query, key, value)
    half = query.dtype == key.dtype == value.dtype and query.dtype in (torch.bfloat16, torch.float16)
    return half and not torch.is_grad_enabled() and _gpu_takes_narrow_values()


@torch.compiler.assume_constant_result
def _gpu_takes_narrow_values() -> bool:
    """Whether the GPU in use, and what is allowed on it, has an attention for them."""
    newest = torch.version.cuda is not None and torch.cuda.get_device_capability() >= _NARROW
    return newest and torch.backends.cuda.cudnn_sdp_enabled()


def split_heads(tokens: Float[Tensor, "B N C"], heads: int) -> Float[Tensor, "B K N D"]:
    """Cut the channels into heads."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def scaled_queries(
    attention: Any, tokens: Float[Tensor, "#B Q C"], others: Float[Tensor, "#B N m"]
) -> tuple[Float[Tensor, "#B Q D"], float]:
    """Projected queries of an attention module for keys made of `others`, and the scaling that their logits still need.

    Where the default backend is faster for it, a part of the scaling is a part of the projection.
    """
    projection, whole = attention.q_proj, attention.scaling
    is_ours = attention.config._attn_implementation in (None, BACKEND) and is_plain(projection)
    if is_ours and onednn_computes(tokens, projection.weight, projection.bias):
        left = scaling_in_tiles(tokens, others, projection.out_features // attention.heads, whole)
        if left != whole:
            return scaled_linear(tokens, projection.weight, projection.bias, whole / left), left
    return projection(tokens), whole


class Attention(nn.Module):
    """Multi-head attention, with rotary positions where a table is given."""

    def __init__(self, config: AttentionConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.heads = config.num_attention_heads
        self.scaling = (config.hidden_size // self.heads) ** -0.5
        self.dropout = dropout
        self.is_causal = False
        self.q_proj = Linear(config.hidden_size, config.hidden_size)
        self.k_proj = Linear(config.hidden_size, config.hidden_size)
        self.v_proj = Linear(config.hidden_size, config.hidden_size)
        self.o_proj = Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        query: Float[Tensor, "#B Q C"],
        key: Float[Tensor, "#B N C"],
        value: Float[Tensor, "#B N C"],
        mask: Bool[Tensor, "#B #K #Q N"] | Float[Tensor, "#B #K #Q N"] | GridBias | None = None,
        rotary: RotaryTable | None = None,
    ) -> Attended:
        """Each query reads the values whose keys it matches; one row that serves all is projected once."""
        rows = max(len(query), len(key))
        query, scaling = scaled_queries(self, query, key) if mask is None else (self.q_proj(query), self.scaling)
        query = split_heads(query, self.heads).expand(rows, -1, -1, -1)
        key = split_heads(self.k_proj(key), self.heads).expand(rows, -1, -1, -1)
        value = split_heads(self.v_proj(value), self.heads).expand(rows, -1, -1, -1)
        if rotary is not None:
            query, key = rotate(query, rotary), rotate(key, rotary)
        attended = attend(self, query, key, value, mask, scaling=scaling)
        return Attended(self.o_proj(attended.output), attended.weights)


def padding_mask(valid: Bool[Tensor, "B N"]) -> Bool[Tensor, "B 1 1 N"]:
    """Let every query look at the real entries only."""
    return valid[:, None, None, :]
