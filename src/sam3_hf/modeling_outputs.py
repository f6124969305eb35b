"""What the models return."""

from dataclasses import dataclass

from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils.generic import ModelOutput


@dataclass
class Sam3TextEncoderOutput(BaseModelOutputWithPooling):
    """Text features, with what a later prompt has to know of their padding.

    Attributes:
        last_hidden_state: (batch, length, text width), after the last norm.
        pooler_output: (batch, length, model width), the features that prompts are made of.
        hidden_states: Embeddings and the output of each layer, on request.
        attentions: Weights of each layer (batch, heads, length, length), on request.
        attention_mask: (batch, length) bool, False where a token is padding.
    """

    attention_mask: Tensor | None = None


@dataclass
class Sam3VisionEncoderOutput(BaseModelOutputWithPooling):
    """Image features.

    Attributes:
        last_hidden_state: (batch, patches, ViT width), row by row.
        fpn_hidden_states: One map (batch, channels, height, width) per scale, fine to coarse.
        fpn_position_encoding: Sine positions of the same shapes.
        hidden_states: Embeddings and the output of each ViT block, on request.
        attentions: Weights of each ViT block (batch * windows, heads, tokens, tokens), on request.
    """

    fpn_hidden_states: tuple[Tensor, ...] = None  # pyright: ignore
    fpn_position_encoding: tuple[Tensor, ...] = None  # pyright: ignore


@dataclass
class Sam3ImageSegmentationOutput(ModelOutput):
    """What `Sam3Model` says of every prompt row.

    Attributes:
        pred_masks: (rows, queries, height, width) mask logits at four times the patch grid.
        pred_boxes: (rows, queries, 4) corners x1, y1, x2, y2 relative to the image (0..1, not clipped), float32.
        pred_logits: (rows, queries) class logits, before the presence score, within +-12.
        presence_logits: (rows, 1) whether the prompt is anywhere in the image. The score of a query is
            `pred_logits.sigmoid() * presence_logits.sigmoid()`.
        semantic_seg: (rows, 1, height, width) logits of the union of all matching objects.
        decoder_hidden_states: Queries before and after each decoder layer, (rows, queries, width), on request.
        decoder_reference_boxes: (layers, rows, queries, 4) boxes in centre format that each decoder layer started from.
        encoder_hidden_states: Image tokens before and after each encoder layer, (rows, patches, width), on request.
        vision_hidden_states: ViT embeddings and block outputs, (images, patches, ViT width), on request.
        vision_attentions: Attention weights of the ViT, on request.
        detr_encoder_attentions: Self- and cross-attention weights of each encoder layer, on request.
        detr_decoder_attentions: Self-, text and image attention weights of each decoder layer, on request.
        mask_decoder_attentions: Weights of the mask decoder's prompt attention, on request.
        image_index: (rows,) which image each row belongs to.
        loss: What to train on, where `labels` were given.
        loss_dict: Its terms by name, detached and without their weights.
        auxiliary_outputs: `pred_logits`, `pred_boxes` and `presence_logits` of every decoder layer before the last,
            where `labels` were given and `auxiliary_loss` is on.
    """

    loss: Tensor | None = None
    pred_masks: Tensor | None = None
    pred_boxes: Tensor | None = None
    pred_logits: Tensor | None = None
    presence_logits: Tensor | None = None
    semantic_seg: Tensor | None = None
    decoder_hidden_states: tuple[Tensor, ...] | None = None
    decoder_reference_boxes: Tensor | None = None
    encoder_hidden_states: tuple[Tensor, ...] | None = None
    vision_hidden_states: tuple[Tensor, ...] | None = None
    vision_attentions: tuple[Tensor, ...] | None = None
    detr_encoder_attentions: tuple[Tensor, ...] | None = None
    detr_decoder_attentions: tuple[Tensor, ...] | None = None
    mask_decoder_attentions: tuple[Tensor, ...] | None = None
    image_index: Tensor | None = None
    loss_dict: dict[str, Tensor] | None = None
    auxiliary_outputs: list[dict[str, Tensor]] | None = None


@dataclass
class Sam3TrackerImageSegmentationOutput(ModelOutput):
    """What `Sam3TrackerModel` says of every object that was pointed at.

    Attributes:
        iou_scores: (images, objects, masks) how well each mask is expected to fit, 0..1.
        pred_masks: (images, objects, masks, height, width) mask logits at four times the patch grid.
        object_score_logits: (images, objects, 1) whether there is an object at all.
        image_embeddings: The image as the mask decoder reads it, finest map first; may be passed with further prompts.
        vision_hidden_states: ViT embeddings and block outputs, (images, patches, ViT width), on request.
        vision_attentions: Attention weights of the ViT, on request.
        mask_decoder_attentions: Weights of every attention of the mask decoder, in the order they ran, on request.
    """

    iou_scores: Tensor | None = None
    pred_masks: Tensor | None = None
    object_score_logits: Tensor | None = None
    image_embeddings: tuple[Tensor, ...] | None = None
    vision_hidden_states: tuple[Tensor, ...] | None = None
    vision_attentions: tuple[Tensor, ...] | None = None
    mask_decoder_attentions: tuple[Tensor, ...] | None = None


@dataclass
class Sam3TrackerVideoSegmentationOutput(ModelOutput):
    """What `Sam3TrackerVideoModel` says of one frame.

    Attributes:
        object_ids: Ids of the objects, in the order of all that follows.
        pred_masks: (objects, 1, height, width) mask logits at four times the patch grid; -1024 throughout where there
            is no object, +-1024 where a mask was given.
        object_score_logits: (objects, 1) whether there is an object at all.
        frame_idx: Number of the frame.
    """

    object_ids: list[int] | None = None
    pred_masks: Tensor | None = None
    object_score_logits: Tensor | None = None
    frame_idx: int | None = None
