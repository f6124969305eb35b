"""DETR decoder: object queries become boxes, layer by layer, and a presence token says if the prompt is there at all.

presence + queries [P, 1+Q, C] read each other, the prompt and the memory [P, N, C]
-> queries [L, P, Q, C], boxes [L, P, Q, 4], presence logits [L, P, 1], one of each per layer

While training there may be a second set of queries with the same weights, which do not read each other.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from sam3_hf.configuration_sam3 import Sam3DETRDecoderConfig
from sam3_hf.detector.box_bias import box_bias
from sam3_hf.layers.attention import Attention, padding_mask
from sam3_hf.layers.embedding import all_rows
from sam3_hf.layers.mlp import FeedForward, Head
from sam3_hf.layers.norm import layer_norm
from sam3_hf.ops.boxes import inverse_sigmoid
from sam3_hf.ops.positions import box_positions
from sam3_hf.ops.tiled_attention import GridBias
from sam3_hf.ops.tokens import PaddedTokens


class Memory(NamedTuple):
    """What the encoder returns, and where each of its tokens is."""

    values: Float[Tensor, "P N C"]
    positions: Float[Tensor, "#P N C"]
    size: tuple[int, int]


class DecodedQueries(NamedTuple):
    """What every layer says; boxes in 0..1, centre format, float32."""

    hidden_states: Float[Tensor, "L P Q C"]
    boxes_cxcywh: Float[Tensor, "L P Q 4"]
    reference_boxes_cxcywh: Float[Tensor, "L P Q 4"]
    presence_logits: Float[Tensor, "L P 1"]

    def layers(self, which: slice) -> "DecodedQueries":
        """What some layers say."""
        return DecodedQueries(*(said[which] for said in self))


class DetrDecoderLayer(GradientCheckpointingLayer):
    """Queries look at each other, at the prompt and at the image; each norm comes after."""

    def __init__(self, config: Sam3DETRDecoderConfig) -> None:
        super().__init__()
        self.company = 1 + config.num_queries
        self.self_attn = Attention(config, config.dropout)
        self.self_attn_layer_norm = layer_norm(config.hidden_size)
        self.text_cross_attn = Attention(config, config.dropout)
        self.text_cross_attn_layer_norm = layer_norm(config.hidden_size)
        self.vision_cross_attn = Attention(config, config.dropout)
        self.vision_cross_attn_layer_norm = layer_norm(config.hidden_size)
        self.mlp = FeedForward(config, config.dropout)
        self.mlp_layer_norm = layer_norm(config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        queries: Float[Tensor, "P Q C"],
        positions: Float[Tensor, "P Q C"],
        prompt: PaddedTokens,
        memory: Memory,
        bias: GridBias,
    ) -> Float[Tensor, "P Q C"]:
        """Positions join queries and keys, never values. Queries of a second set do not look at each other."""
        company, alone = queries.tensor_split([self.company], dim=1)
        x = company + positions[:, : self.company]
        company = company + self.dropout(self.self_attn(x, x, company).output)
        queries = self.self_attn_layer_norm(torch.cat([company, alone], dim=1))
        x = queries + positions
        read = self.text_cross_attn(x, prompt.values, prompt.values, padding_mask(prompt.valid)).output
        queries = self.text_cross_attn_layer_norm(queries + self.dropout(read))
        x = queries + positions
        seen = self.vision_cross_attn(x, memory.values + memory.positions, memory.values, bias).output
        queries = self.vision_cross_attn_layer_norm(queries + self.dropout(seen))
        return self.mlp_layer_norm(queries + self.dropout(self.mlp(queries)))


class DetrDecoder(nn.Module):
    """Queries, boxes and presence, refined layer by layer."""

    def __init__(self, config: Sam3DETRDecoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.layers = nn.ModuleList(DetrDecoderLayer(config) for _ in range(config.num_layers))
        self.output_layer_norm = layer_norm(width)
        self.box_head = Head(width, width, width, 4)
        self.query_embed = nn.Embedding(config.num_queries, width)
        self.reference_points = nn.Embedding(config.num_queries, 4)
        self.presence_token = nn.Embedding(1, width)
        self.presence_head = Head(width, width, width, 1)
        self.presence_layer_norm = layer_norm(width)
        self.ref_point_head = Head(2 * width, width, width)
        self.box_rpb_embed_x = Head(2, width, config.num_attention_heads)
        self.box_rpb_embed_y = Head(2, width, config.num_attention_heads)

    def forward(self, memory: Memory, prompt: PaddedTokens, sets: int = 1) -> DecodedQueries:
        """Each layer starts from the boxes of the one before; `sets` repeats the queries, the first set comes first."""
        rows = len(memory.values)
        like = memory.values
        reference = start = all_rows(self.reference_points, like).float().sigmoid().repeat(rows, sets, 1)
        tokens = [all_rows(self.presence_token, like), *[all_rows(self.query_embed, like)] * sets]
        queries = torch.cat(tokens).expand(rows, -1, -1)
        said = []
        for layer in self.layers:
            queries = layer(queries, self._positions(start), prompt, memory, self._bias(start, memory.size))
            presence, objects = queries[:, 0], self.output_layer_norm(queries[:, 1:])
            step = self.box_head(objects).float()
            # Look forward twice (DINO): the gradient of a box also reaches the step before, and no further.
            boxes = (step + inverse_sigmoid(reference)).sigmoid()
            # Parity: the logit is not clamped.
            said.append((objects, boxes, reference, self.presence_head(self.presence_layer_norm(presence))))
            reference = (step + inverse_sigmoid(start)).sigmoid()
            start = reference.detach()
        return DecodedQueries(*(torch.stack(each) for each in zip(*said, strict=True)))

    def _positions(self, boxes_cxcywh: Float[Tensor, "P Q 4"]) -> Float[Tensor, "P 1+Q C"]:
        """Where each query's box is; the presence token is nowhere."""
        width = self.config.hidden_size
        positions = self.ref_point_head(box_positions(boxes_cxcywh, 2 * width).to(self.query_embed.weight.dtype))
        return F.pad(positions, (0, 0, 1, 0))

    def _bias(self, boxes_cxcywh: Float[Tensor, "P Q 4"], size: tuple[int, int]) -> GridBias:
        """Where each query should look; the presence token looks everywhere alike."""
        terms = box_bias(boxes_cxcywh, size, self.box_rpb_embed_x, self.box_rpb_embed_y)
        return GridBias(*(F.pad(term, (0, 0, 1, 0)) for term in terms))
