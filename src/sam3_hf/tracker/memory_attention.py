"""Memory attention: the image reads what is remembered of each object.

image [B, N, C] + memory [R, M, m] with positions -> image as each object's memory sees it [R, N, C]
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig
from sam3_hf.layers.attention import attend, padding_mask, scaled_queries, split_heads, takes_narrow_values
from sam3_hf.layers.linear import Linear
from sam3_hf.layers.norm import layer_norm
from sam3_hf.ops.rotary import RotaryTable, rotary_table, rotate, rotate_in_place, rotates_in_place
from sam3_hf.ops.tiled_attention import BACKEND
from sam3_hf.tracker.rows import per_object

# How much of a cell's position is added to the image before anything is read.
_POSITION_SHARE = 0.1


class MemoryTokens(NamedTuple):
    """Memory of many objects as one padded batch: cells of remembered frames, then object pointers.

    Attributes:
        cells: Frames one after the other, each of the size of the image.
        cell_positions: Where each cell is, and how long ago its frame was; a single row where all objects agree.
        pointers: Tokens of object pointers.
        pointer_positions: How long ago each pointer was made, likewise.
        valid: Which of all these are real, cells first; `None` where all are.
    """

    cells: Float[Tensor, "R S m"]
    cell_positions: Float[Tensor, "#R S m"]
    pointers: Float[Tensor, "R P m"]
    pointer_positions: Float[Tensor, "#R P m"]
    valid: Bool[Tensor, "R M"] | None


class Read(NamedTuple):
    """Memory as every layer reads it: `cells` first, then pointers; positions join the keys, never the values."""

    keys: Float[Tensor, "R M m"]
    values: Float[Tensor, "R M m"]
    cells: int
    mask: Bool[Tensor, "R 1 1 M"] | None

    @classmethod
    def of(cls, memory: MemoryTokens) -> "Read":
        """Join cells and pointers."""
        values = torch.cat([memory.cells, memory.pointers], 1)
        positions = (memory.cell_positions, memory.pointer_positions)
        rows = max(map(len, positions))
        keys = values + torch.cat([part.expand(rows, -1, -1) for part in positions], 1)
        mask = None if memory.valid is None else padding_mask(memory.valid)
        return cls(keys, values, memory.cells.shape[1], mask)


class RotaryAttention(nn.Module):
    """Attention whose queries and keys turn with their place in the grid; pointers have no place and do not turn."""

    def __init__(self, config: Sam3TrackerVideoConfig, memory_width: int) -> None:
        super().__init__()
        self.config = config
        width = config.memory_attention_hidden_size
        inner = width // config.memory_attention_downsample_rate
        self.heads = config.memory_attention_num_attention_heads
        self.scaling = (inner // self.heads) ** -0.5
        self.dropout = float(config.memory_attention_rope_dropout)
        self.is_causal = False
        self.q_proj = Linear(width, inner)
        self.k_proj = Linear(memory_width, inner)
        self.v_proj = Linear(memory_width, inner)
        self.o_proj = Linear(inner, width)

    def forward(
        self,
        query: Float[Tensor, "R N C"],
        key: Float[Tensor, "R M m"],
        value: Float[Tensor, "R M m"],
        places: RotaryTable,
        cells: int,
        mask: Bool[Tensor, "R 1 1 M"] | None = None,
    ) -> Float[Tensor, "R N C"]:
        """Read the values; keys are the cells of one grid or more, then pointers, which have no place."""
        query, scaling = scaled_queries(self, query, key)
        query = rotate(split_heads(query, self.heads), places)
        key = split_heads(self.k_proj(key), self.heads)
        grids = key[:, :, :cells].unflatten(2, (-1, len(places.cos))).flatten(1, 2)
        if self.heads == 1 and rotates_in_place(key):
            rotate_in_place(grids, places)  # of one head, grids are a view of its keys
        else:
            turned = rotate(grids, places).unflatten(1, (self.heads, -1)).flatten(2, 3)
            key = turned if cells == key.shape[2] else torch.cat([turned, key[:, :, cells:]], 2)
        return self.o_proj(self._average(query, key, value, mask, scaling))

    def _average(
        self,
        query: Float[Tensor, "R K N D"],
        key: Float[Tensor, "R K M D"],
        value: Float[Tensor, "R M m"],
        mask: Bool[Tensor, "R 1 1 M"] | None,
        scaling: float,
    ) -> Float[Tensor, "R N C"]:
        """The values that each query looks at; narrow ones are widened afterwards, which is linear as well."""
        narrow = self.heads == 1 and value.shape[2] < key.shape[3] and self.config._attn_implementation == BACKEND
        if narrow and takes_narrow_values(query, key, value.unsqueeze(1)):
            return self.v_proj(attend(self, query, key, value.unsqueeze(1), mask, scaling=scaling).output)
        return attend(self, query, key, split_heads(self.v_proj(value), self.heads), mask, scaling=scaling).output


class MemoryAttentionLayer(GradientCheckpointingLayer):
    """The image looks at itself, then at the memory."""

    def __init__(self, config: Sam3TrackerVideoConfig) -> None:
        super().__init__()
        width, inner = config.memory_attention_hidden_size, config.memory_attention_feed_forward_hidden_size
        self.layer_norm1 = layer_norm(width)
        self.self_attn = RotaryAttention(config, width)
        self.layer_norm2 = layer_norm(width)
        self.cross_attn_image = RotaryAttention(config, config.memory_encoder_output_channels)
        self.layer_norm3 = layer_norm(width)
        self.linear1 = Linear(width, inner)
        self.linear2 = Linear(inner, width)
        self.activation = ACT2FN[config.memory_attention_feed_forward_hidden_act]
        self.dropout = nn.Dropout(config.memory_attention_dropout)

    def forward(self, image: Float[Tensor, "r N C"], memory: Read, rotary: RotaryTable) -> Float[Tensor, "R N C"]:
        """Look around, remember, think."""
        image = per_object(self.look_around(image, rotary), len(memory.keys))
        x = self.layer_norm2(image)
        recalled = self.cross_attn_image(x, memory.keys, memory.values, rotary, memory.cells, memory.mask)
        image = image + self.dropout(recalled)
        inner = self.dropout(self.activation(self.linear1(self.layer_norm3(image))))
        return image + self.dropout(self.linear2(inner))

    def look_around(self, image: Float[Tensor, "r N C"], rotary: RotaryTable) -> Float[Tensor, "r N C"]:
        """Cells look at each other; in the first layer once for all objects."""
        x = self.layer_norm1(image)
        return image + self.dropout(self.self_attn(x, x, x, rotary, x.shape[1]))


class MemoryAttention(nn.Module):
    """All layers, and a norm."""

    def __init__(self, config: Sam3TrackerVideoConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(MemoryAttentionLayer(config) for _ in range(config.memory_attention_num_layers))
        self.layer_norm = layer_norm(config.memory_attention_hidden_size)

    def forward(
        self, image: Float[Tensor, "B N C"], positions: Float[Tensor, "1 N C"], memory: MemoryTokens, side: int
    ) -> Float[Tensor, "R N C"]:
        """Read the memory layer by layer; `side` is that of the square grid of cells."""
        config: Sam3TrackerVideoConfig = self.config
        channels = config.memory_attention_hidden_size // config.memory_attention_downsample_rate
        head = channels // config.memory_attention_num_attention_heads
        theta = (config.rope_parameters or {})["rope_theta"]
        rotary = rotary_table(side, side, head, theta, image)
        image, read = image + _POSITION_SHARE * positions, Read.of(memory)
        for layer in self.layers:
            image = layer(image, read, rotary)
        return self.layer_norm(image)
