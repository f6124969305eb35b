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
from sam3_hf.video.detections import Detections, choose, join
from sam3_hf.video.phrases import Phrase, pad_boxes

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
    given = {} if boxes is None else {"input_boxes": boxes[0].to(device), "input_boxes_labels": boxes[1].to(device)}
    found = detector(vision_embeds=sight.vision, text_embeds=_texts(detector, list(phrases.values())), **given)
    return join([_of_row(found, row, number, config) for row, number in enumerate(phrases)])


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


def _of_row(found: Any, row: int, number: int, config: Sam3VideoConfig) -> Detections:
    """The detections of one phrase, in the order of the queries."""
    scores = _scores(found.pred_logits[row], found.presence_logits[row])
    logits = found.pred_masks[row].float()
    overlap = config.det_nms_thresh if config.det_nms_thresh > 0 else None
    kept = choose(scores, logits, config.score_threshold_detection, overlap).nonzero()[:, 0]
    return Detections(scores[kept], found.pred_boxes[row][kept], logits[kept], [number] * len(kept))


def _scores(logits: Float[Tensor, "Q"], presence: Float[Tensor, "1"]) -> Float[Tensor, "Q"]:
    """How sure each query is that it is one of the things, given that there are any."""
    sure = logits.float().sigmoid() * presence.float().sigmoid()
    # Parity: the product goes back to a logit, which cannot be large, and forth again.
    return inverse_sigmoid(sure).clamp(-_LIMIT, _LIMIT).sigmoid()
