"""Attention of the tracker: between the tokens of objects, and between those and the image that several objects share.

query [B or R, Q, C], key and value [B or R, N, C] -> output [R, Q, C]; B images, R objects
"""

from jaxtyping import Bool, Float
from torch import Tensor

from sam3_hf.configuration_sam3_tracker import Sam3TrackerMaskDecoderConfig
from sam3_hf.layers.attention import Attended, attend, split_heads
from sam3_hf.layers.linear import Linear
from sam3_hf.ops.products import onednn_computes
from sam3_hf.ops.tiled_attention import BACKEND
from sam3_hf.tracker.few_tokens import Projections, cells_are_told, tokens_see, told_by_few
from sam3_hf.tracker.rows import per_object

# So many cells for each token are worth a road of their own; where no cell is projected, for each head of each token.
_MANY = 8


class ObjectAttention(Projections):
    """Multi-head attention in `hidden_size / downsample_rate` channels; an image is projected once for its objects."""

    def __init__(self, config: Sam3TrackerMaskDecoderConfig, downsample_rate: int = 1) -> None:
        super().__init__()
        self.config = config
        width, inner = config.hidden_size, config.hidden_size // downsample_rate
        self.heads = config.num_attention_heads
        self.scaling = (inner // self.heads) ** -0.5
        self.dropout = 0.0
        self.is_causal = False
        self.q_proj = Linear(width, inner)
        self.k_proj = Linear(width, inner)
        self.v_proj = Linear(width, inner)
        self.o_proj = Linear(inner, width)

    def forward(
        self,
        query: Float[Tensor, "q Q C"],
        key: Float[Tensor, "k N C"],
        value: Float[Tensor, "k N C"],
        mask: Bool[Tensor, "R 1 1 N"] | None = None,
    ) -> Attended:
        """Each query reads the values whose keys it matches, among those of its object."""
        rows = max(len(query), len(key))
        if mask is None and self._is_lopsided(query, key, rows):
            return Attended(tokens_see(self, query[0], key[0], value[0])[None], None)
        if mask is not None and self._is_lopsided(key, query, rows):
            return Attended(cells_are_told(self, query[0], key[0], value[0], mask[0, 0, 0])[None], None)
        query = per_object(split_heads(self.q_proj(query), self.heads), rows)
        key = per_object(split_heads(self.k_proj(key), self.heads), rows)
        value = per_object(split_heads(self.v_proj(value), self.heads), rows)
        if mask is not None and self._meets_few(query, key):
            return Attended(self.o_proj(told_by_few(query, key, value, mask, self.scaling)), None)
        attended = attend(self, query, key, value, mask)
        return Attended(self.o_proj(attended.output), attended.weights)

    def _meets_few(self, query: Float[Tensor, "R K N D"], key: Float[Tensor, "R K T D"]) -> bool:
        """Whether cells look at so few tokens that they are better told by them."""
        return _MANY * key.shape[2] <= query.shape[2] and self._is_plain() and onednn_computes(query, key)

    def _is_plain(self) -> bool:
        """Whether attention is left to us."""
        return self.config._attn_implementation in (None, BACKEND)

    def _is_lopsided(self, tokens: Float[Tensor, "t T C"], cells: Float[Tensor, "c N C"], rows: int) -> bool:
        """Whether one object has so few tokens for so many cells that only tokens should be projected."""
        few = self.heads * tokens.shape[1]
        if rows > 1 or few > cells.shape[2] or _MANY * few > cells.shape[1] or not self._is_plain():
            return False
        projections = (self.q_proj, self.k_proj, self.v_proj, self.o_proj)
        # Adapters and quantization put something else in their place, which has to be asked itself.
        plain = all(type(each) is Linear for each in projections)
        return plain and onednn_computes(tokens, cells, *(each.weight for each in projections))
