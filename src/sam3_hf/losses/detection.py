"""Detection loss: every term of every layer, weighted and summed.

predictions and masks, targets, matching -> loss [], terms by name

total = sqrt(P) * (sum over layers (first set + o2m weight * second set) + masks of the last layer + semantic terms)
"""

import math
import re
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, distributed

from sam3_hf.configuration_sam3_loss import Sam3LossConfig
from sam3_hf.losses.boxes import box_terms
from sam3_hf.losses.classification import class_term, presence_term
from sam3_hf.losses.masks import PredictedMasks, mask_terms, semantic_terms
from sam3_hf.losses.matcher import Matches, Matching, match
from sam3_hf.losses.predictions import Predictions, QuerySet
from sam3_hf.losses.targets import Targets

Terms = dict[str, Tensor]


class Loss(NamedTuple):
    """The loss, and its terms by name: unweighted, detached; those of the second set with their factor."""

    total: Float[Tensor, ""]
    terms: Terms


class DetectionLoss:
    """The training loss of the detector (SAM 3, arXiv 2511.16719, and its released fine-tuning recipe).

    Terms of layers before the last end in `_aux_0`, `_aux_1`, ...; those of the second set of queries in `_o2m`.
    """

    def __init__(self, config: Sam3LossConfig) -> None:
        self.config = config
        self.weights = {
            "loss_bbox": config.bbox_loss_weight,
            "loss_giou": config.giou_loss_weight,
            "loss_ce": config.class_loss_weight,
            "presence_loss": config.presence_loss_weight,
            "loss_mask": config.mask_loss_weight,
            "loss_dice": config.dice_loss_weight,
            "loss_semantic_seg": config.semantic_loss_weight,
            "loss_semantic_dice": config.semantic_dice_weight,
        }

    def match(self, predictions: Predictions, targets: Targets) -> Matching:
        """Which query answers for which object, in every layer."""
        return match(predictions, targets, self.config)

    def __call__(self, predictions: Predictions, masks: PredictedMasks, targets: Targets, matching: Matching) -> Loss:
        """Compare the answers of all layers, and the masks of the last, with what is there."""
        with torch.autocast(predictions.presence_logits.device.type, enabled=False):
            objects = objects_per_process(targets)
            terms = self._layers(predictions, targets, matching, objects)
            terms |= mask_terms(masks.one_to_one, targets, matching.one_to_one[-1], objects, self.config)
            if matching.one_to_many:
                terms |= self._second(
                    mask_terms(masks.one_to_many, targets, matching.spare.matches, objects, self.config)
                )
            terms |= semantic_terms(masks.semantic, targets, self.config)
            return Loss(self._total(terms, len(targets.counts)), {name: term.detach() for name, term in terms.items()})

    def _layers(self, predictions: Predictions, targets: Targets, matching: Matching, objects: Tensor) -> Terms:
        """Terms of boxes, classes and presence, layer by layer."""
        terms: Terms = {}
        last = len(predictions.presence_logits) - 1
        for layer, presence in enumerate(predictions.presence_logits):
            suffix = "" if layer == last else f"_aux_{layer}"
            pairs = matching.one_to_one[layer]
            said = self._queries(predictions.one_to_one, layer, targets, pairs, objects)
            said |= presence_term(presence, targets, self.config)
            terms |= {name + suffix: term for name, term in said.items()}
            if matching.one_to_many:
                pairs = matching.one_to_many[layer]
                said = self._queries(predictions.one_to_many, layer, targets, pairs, objects)
                terms |= self._second({name + suffix: term for name, term in said.items()})
        return terms

    def _queries(self, queries: QuerySet, layer: int, targets: Targets, pairs: Matches, objects: Tensor) -> Terms:
        """Terms of one set of queries in one layer."""
        logits, boxes = queries.logits[layer], queries.boxes_cxcywh[layer]
        return box_terms(boxes, targets, pairs, objects) | class_term(logits, boxes, targets, pairs, self.config)

    def _second(self, terms: Terms) -> Terms:
        """Terms of the second set of queries."""
        return {f"{name}_o2m": self.config.o2m_loss_weight * term for name, term in terms.items()}

    def _total(self, terms: Terms, rows: int) -> Float[Tensor, ""]:
        weighted = [self.weights[re.sub(r"(_aux_\d+)?(_o2m)?$", "", name)] * term for name, term in terms.items()]
        total = torch.stack(weighted).sum()
        return total * math.sqrt(rows) if self.config.scale_loss_by_sqrt_num_prompts else total


def objects_per_process(targets: Targets) -> Float[Tensor, ""]:
    """Number of objects, at least 1; while training with several processes their mean."""
    objects = targets.boxes_cxcywh.new_tensor(float(len(targets.boxes_cxcywh)))
    # Without gradients one process may well be alone with its batch, and would wait for the others for ever.
    if torch.is_grad_enabled() and distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(objects)
        objects = objects / distributed.get_world_size()
    return objects.clamp(min=1)
