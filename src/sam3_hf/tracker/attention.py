"""Attention of the tracker: between the tokens of objects, and between those and the image that several objects share.

query [B or R, Q, C], key and value [B or R, N, C] -> output [R, Q, C]; B images, R objects
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from sam3_hf.configuration_sam3_tracker import Sam3TrackerMaskDecoderConfig
from sam3_hf.layers.attention import Attended, attend, split_heads
from sam3_hf.tracker.rows import per_object


class ObjectAttention(nn.Module):
    """Multi-head attention in `hidden_size / downsample_rate` channels; an image is projected once for its objects."""

    def __init__(self, config: Sam3TrackerMaskDecoderConfig, downsample_rate: int = 1) -> None:
        super().__init__()
        self.config = config
        width, inner = config.hidden_size, config.hidden_size // downsample_rate
        self.heads = config.num_attention_heads
        self.scaling = (inner // self.heads) ** -0.5
        self.dropout = 0.0
        self.is_causal = False
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.o_proj = nn.Linear(inner, width)

    def forward(
        self,
        query: Float[Tensor, "q Q C"],
        key: Float[Tensor, "k N C"],
        value: Float[Tensor, "k N C"],
        mask: Bool[Tensor, "R 1 1 N"] | None = None,
    ) -> Attended:
        """Each query reads the values whose keys it matches, among those of its object."""
        rows = max(len(query), len(key))
        query = per_object(split_heads(self.q_proj(query), self.heads), rows)
        key = per_object(split_heads(self.k_proj(key), self.heads), rows)
        value = per_object(split_heads(self.v_proj(value), self.heads), rows)
        attended = attend(self, query, key, value, mask)
        return Attended(self.o_proj(attended.output), attended.weights)
