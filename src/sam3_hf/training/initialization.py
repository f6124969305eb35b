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
# By how much the first head's attention logits fall at the far side of an image.
_STEEPEST = 12.0


def initialize(model: Sam3Model) -> None:
    """Fresh weights for every part: Glorot's for products and convolutions, spread-out queries, boxes that stay.

    As DETR does it: matrices are drawn so that signals keep their size, queries and their reference boxes differ, and
    the first boxes are the reference boxes themselves, all over the image and a fifth of it wide. Queries first look
    into their boxes, which is what they would have to find out before they could learn anything else.
    """
    _draw_products(model)
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

    Matrices are drawn as in `initialize`, tokens and kinds of prompts as wide as a normalised token, and to begin with
    an object that was pointed at is taken to be there.
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
    nn.init.constant_(tracker.mask_decoder.pred_obj_score_head.proj_out.bias, _THERE)


def _draw_products(part: nn.Module) -> None:
    """Glorot's weights for every product and convolution, without a bias to begin with."""
    for module in part.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
