"""Detecting: every phrase that is looked for on a frame, in one pass of the detector.

Sight + phrases -> detector -> scores, boxes, masks of every query -> Detections
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.following.seeing import Sight
from sam3_hf.modeling_outputs import Sam3TextEncoderOutput
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.ops.boxes import inverse_sigmoid
from sam3_hf.ops.rows import on_device
from sam3_hf.video.detections import Detections, choose
from sam3_hf.video.phrases import Phrase, pad_boxes

_BOXES = ("input_boxes", "input_boxes_labels")
# Scores are kept within the sigmoid of this.
_LIMIT = 10.0


def detect(
    detector: Sam3Model, sight: Sight, phrases: dict[int, Phrase], frame_index: int, config: Sam3VideoConfig
) -> Detections:
    """What is found of the phrases, each of which is looked for on this frame."""
    size = 4 * sight.grid
    if not phrases:
        return Detections.none(sight.image.patches.new_zeros(0, size, size))
    boxes = pad_boxes(list(phrases.values()), frame_index)
    device = sight.image.patches.device
    given = (
        {} if boxes is None else dict(zip(_BOXES, (part.to(device, non_blocking=True) for part in boxes), strict=True))
    )
    found = detector(vision_embeds=sight.vision, text_embeds=_texts(detector, list(phrases.values())), **given)
    return _chosen(found, list(phrases), config)


def _texts(detector: Sam3Model, phrases: list[Phrase]) -> Any:
    """Features of all phrases; the text encoder sees each phrase once."""
    for phrase in phrases:
        if phrase.features is None:
            ids, mask = phrase.input_ids.to(detector.device), phrase.attention_mask.to(detector.device)
            phrase.features = detector.get_text_features(ids, mask, return_dict=True)  # pyright: ignore
    features = [phrase.features for phrase in phrases]
    return Sam3TextEncoderOutput(
        pooler_output=torch.cat([each.pooler_output for each in features]),
        attention_mask=torch.cat([each.attention_mask for each in features]),
    )


def _chosen(found: Any, numbers: list[int], config: Sam3VideoConfig) -> Detections:
    """The detections of all phrases, phrase after phrase, in the order of the queries."""
    scores = _scores(found.pred_logits, found.presence_logits)
    overlap = config.det_nms_thresh if config.det_nms_thresh > 0 else None
    places = choose(scores, found.pred_masks, config.score_threshold_detection, overlap)
    rows = on_device(places, scores)
    phrases = [numbers[place // scores.shape[1]] for place in places]
    boxes, logits = found.pred_boxes.flatten(0, 1)[rows], found.pred_masks.flatten(0, 1)[rows].float()
    return Detections(scores.flatten()[rows], boxes, logits, phrases)


def _scores(logits: Float[Tensor, "P Q"], presence: Float[Tensor, "P 1"]) -> Float[Tensor, "P Q"]:
    """How sure each query is that it is one of the things, given that there are any."""
    sure = logits.float().sigmoid() * presence.float().sigmoid()
    # Parity: the product goes back to a logit, which cannot be large, and forth again.
    return inverse_sigmoid(sure).clamp(-_LIMIT, _LIMIT).sigmoid()
