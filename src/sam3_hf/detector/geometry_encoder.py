"""Geometry encoder: example boxes become prompt tokens that know the image.

boxes [P, N, 4] -> where + how large + what is inside + wanted or not -> [P, N, C], then a CLS token
tokens [P, N+1, C] read each other and the image [P, H*W, C] -> PaddedTokens
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sam3_hf.configuration_sam3 import Sam3GeometryEncoderConfig
from sam3_hf.detector.prompts import BoxPrompt
from sam3_hf.layers.attention import padding_mask
from sam3_hf.layers.embedding import all_rows
from sam3_hf.layers.linear import Linear
from sam3_hf.layers.norm import layer_norm
from sam3_hf.layers.transformer import PreNormLayer
from sam3_hf.ops.boxes import to_xyxy
from sam3_hf.ops.positions import centre_positions
from sam3_hf.ops.roi_align import roi_align
from sam3_hf.ops.tokens import PaddedTokens, join, to_grid


class GeometryEncoderLayer(PreNormLayer):
    """Prompt tokens look at each other, then at the image."""

    def forward(
        self,
        tokens: Float[Tensor, "P N C"],
        valid: Bool[Tensor, "P N"],
        image: Float[Tensor, "#P M C"],
        positions: Float[Tensor, "#P M C"],
    ) -> Float[Tensor, "P N C"]:
        """Positions join the keys of the image, not its values."""
        x = self.layer_norm1(tokens)
        tokens = tokens + self.dropout(self.self_attn(x, x, x, padding_mask(valid)).output)
        x = self.layer_norm2(tokens)
        tokens = tokens + self.dropout(self.cross_attn(x, image + positions, image).output)
        return tokens + self.dropout(self.mlp(self.layer_norm3(tokens)))


class GeometryEncoder(nn.Module):
    """Boxes to tokens."""

    def __init__(self, config: Sam3GeometryEncoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.roi_size = config.roi_size
        self.label_embed = nn.Embedding(2, width)
        self.cls_embed = nn.Embedding(1, width)
        self.boxes_direct_project = Linear(4, width)
        self.boxes_pool_project = nn.Conv2d(width, width, config.roi_size)
        self.boxes_pos_enc_project = Linear(width + 2, width)
        self.vision_layer_norm = layer_norm(width)
        self.final_proj = Linear(width, width)
        self.prompt_layer_norm = layer_norm(width)
        self.layers = nn.ModuleList(GeometryEncoderLayer(config) for _ in range(config.num_layers))
        self.output_layer_norm = layer_norm(width)

    def forward(
        self,
        image: Float[Tensor, "#P M C"],
        positions: Float[Tensor, "#P M C"],
        size: tuple[int, int],
        boxes: BoxPrompt,
    ) -> PaddedTokens:
        """One token per box and one CLS token, which every prompt has, with or without boxes."""
        embedded = PaddedTokens(self._embed(image, size, boxes), boxes.valid)
        rows = len(boxes.valid)
        cls = all_rows(self.cls_embed, image).expand(rows, 1, -1)
        tokens, valid = join(embedded, PaddedTokens(cls, boxes.valid.new_ones(rows, 1)))
        tokens = self.prompt_layer_norm(self.final_proj(tokens))
        for layer in self.layers:
            tokens = layer(tokens, valid, image, positions)
        return PaddedTokens(self.output_layer_norm(tokens), valid)

    def _embed(self, image: Float[Tensor, "#P M C"], size: tuple[int, int], boxes: BoxPrompt) -> Float[Tensor, "P N C"]:
        """What a box says: its coordinates, the features inside it, its place, and whether it is wanted."""
        if not boxes.valid.shape[1] and not torch.is_grad_enabled():
            # The way below leads to the same, over many operations on nothing.
            return image.new_zeros(len(boxes.valid), 0, image.shape[2])
        direct = self.boxes_direct_project(boxes.boxes_cxcywh.to(image.dtype))
        grid = to_grid(self.vision_layer_norm(image), size).expand(len(boxes.valid), -1, -1, -1)
        pooled = roi_align(grid, to_xyxy(boxes.boxes_cxcywh), self.roi_size)
        inside = self.boxes_pool_project(pooled.flatten(0, 1)).unflatten(0, boxes.valid.shape).flatten(2)
        place = self.boxes_pos_enc_project(centre_positions(boxes.boxes_cxcywh, grid.shape[1]).to(image.dtype))
        return self.label_embed(boxes.labels) + direct + inside + place
