"""Initial weights: a model that starts from nothing, rather than from a checkpoint, is made ready to learn.

`initializer_range` suits the width of the released model; a narrow one would hardly let a signal through, and queries
that all start at the same place take long to part.
"""

from typing import Any

import torch
from torch import nn

from sam3_hf.layers.mlp import Head
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.vision.backbone import Sam3ViTModel

# What every prompt starts from; drawn as wide as a normalised token.
_STARTS = (
    "detr_decoder.query_embed",
    "detr_decoder.presence_token",
    "geometry_encoder.label_embed",
    "geometry_encoder.cls_embed",
)
# Logit of an object's presence before anything was learned.
_THERE = 2.0
# The tokens of a ViT without a norm at its end are large; maps as large would drown what prompts add to them.
_NECK_GAIN = 0.25
# Where the heads of a ViT first look, in patches to the right and down.
_STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1), (0, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
# How much less a neighbour's neighbour counts, in logits about half of this; by the fastest so many rotations.
_NEARNESS, _SHARP = 3.0, 2
# How much of a drawn product of queries and keys remains beside that.
_UNSAID = 0.5
# By how much the first head's attention logits fall at the far side of an image.
_STEEPEST = 12.0


def initialize(model: Sam3Model) -> None:
    """Fresh weights for every part: Glorot's for products and convolutions, spread-out queries, boxes that stay.

    As DETR does it: matrices are drawn so that signals keep their size, queries and their reference boxes differ, and
    the first boxes are the reference boxes themselves, all over the image and a fifth of it wide. Queries first look
    into their boxes, which is what they would have to find out before they could learn anything else.
    """
    _draw_products(model)
    look_around(model.vision_encoder.backbone)
    for level in model.vision_encoder.neck.fpn_layers:
        nn.init.xavier_uniform_(level.get_parameter("proj2.weight"), _NECK_GAIN)
    for name in _STARTS:
        nn.init.normal_(model.get_submodule(name).weight)  # pyright: ignore[reportArgumentType]
    nn.init.zeros_(model.get_parameter("detr_decoder.box_head.layer3.weight"))
    start = model.detr_decoder.reference_points.weight
    with torch.no_grad():
        start[:, :2] = torch.logit(torch.rand_like(start[:, :2]) * 0.9 + 0.05)
        start[:, 2:] = torch.logit(torch.rand_like(start[:, 2:]) * 0.2 + 0.1)
        _look_inside(model.detr_decoder.box_rpb_embed_x)
        _look_inside(model.detr_decoder.box_rpb_embed_y)


def look_around(vit: Sam3ViTModel) -> None:
    """Heads of a ViT first look at a neighbour each, as a convolution does, block after block at others.

    What tokens do not say, positions do: the biases of query and key agree most where the rotation between two tokens
    is that of a step to the neighbour. A ViT that has to find out what is near needs many more pictures.
    """
    size = vit.config.hidden_size // vit.config.num_attention_heads
    grid = vit.embeddings.side
    for number, (layer, window) in enumerate(zip(vit.layers, vit.windows, strict=True)):
        # Tokens of a whole grid are closer together, as far as rotations go.
        step = 1.0 if window else vit.config.window_size / grid
        attention: Any = layer.attention
        for head in range(attention.heads):
            place = slice(head * size, (head + 1) * size)
            offset = _STEPS[(head + attention.heads * number) % len(_STEPS)]
            _look_beside(attention, place, offset, vit.config.rope_theta, step)


@torch.no_grad()
def _look_beside(
    attention: Any, place: slice, offset: tuple[int, int], rope_theta: float | int, step: float = 1.0
) -> None:
    """Let the head with these rows first look `offset` cells to the right and down; cells are `step` turns apart."""
    size = place.stop - place.start
    turns = rope_theta ** -(torch.arange(0, size, 4) / size)
    sharpness = torch.where(torch.arange(len(turns)) < _SHARP, _NEARNESS, 0.0).mul(size**0.5).sqrt()
    angles = torch.cat([turns * way * step for way in offset])
    length = (sharpness / step**0.5).repeat(2)
    attention.q_proj.weight[place] *= _UNSAID
    attention.k_proj.weight[place] *= _UNSAID
    attention.q_proj.bias[place] = torch.stack([length, 0 * length], -1).flatten()
    attention.k_proj.bias[place] = torch.stack([length * angles.cos(), -length * angles.sin()], -1).flatten()


def _look_inside(bias: Head) -> None:
    """Less attention to a cell the further it lies beyond either edge of the box; the last heads look further.

    The bias reads signed distances to both edges: what is before the first, or after the second, is outside.
    """
    beyond, total = bias.get_parameter("layer1.weight"), bias.get_parameter("layer2.weight")
    beyond[:2] = torch.tensor([[-1.0, 0.0], [0.0, 1.0]])
    total.zero_()
    total[:, :2] = -torch.linspace(_STEEPEST, 0, len(total))[:, None]


def initialize_tracker(tracker: Sam3TrackerVideoModel) -> None:
    """Fresh weights for all of a tracker but its ViT, which has to be there already.

    Matrices are drawn as in `initialize`, tokens and kinds of prompts as wide as a normalised token. To begin with,
    every cell of an image recalls what was remembered of the same place, and an object that was pointed at is taken to
    be there.
    """
    for name, part in tracker.named_children():
        fresh: Any = part.neck if name == "vision_encoder" else part
        _draw_products(fresh)
        for module in fresh.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight)
    for name, parameter in tracker.named_parameters(recurse=False):
        if parameter.requires_grad and name != "no_memory_positional_encoding":
            nn.init.trunc_normal_(parameter, std=0.02)
    theta = (tracker.config.rope_parameters or {})["rope_theta"]
    for layer in tracker.memory_attention.layers:
        recalling: Any = layer.cross_attn_image
        size = recalling.q_proj.out_features // recalling.heads
        for head in range(recalling.heads):
            place = slice(head * size, (head + 1) * size)
            _look_beside(recalling, place, (0, 0), theta)
    nn.init.constant_(tracker.mask_decoder.pred_obj_score_head.proj_out.bias, _THERE)


def _draw_products(part: nn.Module) -> None:
    """Glorot's weights for every product and convolution, without a bias to begin with."""
    for module in part.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
