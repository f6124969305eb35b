"""Recorded losses of the original, and the random outputs and targets they were computed of."""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sam3_hf.configuration_sam3_loss import Sam3LossConfig
from sam3_hf.losses.detection import DetectionLoss, Loss
from sam3_hf.losses.masks import PredictedMasks
from sam3_hf.losses.predictions import Predictions, QuerySet
from sam3_hf.losses.targets import Targets

FOLDER = Path(__file__).parents[1] / "data" / "loss_toy"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
OUTPUTS = (
    "pred_logits",
    "pred_boxes",
    "presence_logits",
    "pred_logits_o2m",
    "pred_boxes_o2m",
    "pred_masks",
    "pred_masks_o2m",
    "semantic_seg",
)


class Toy(NamedTuple):
    """What the loss is given; `outputs` are the tensors that gradients are asked of."""

    outputs: dict[str, Tensor]
    predictions: Predictions
    masks: PredictedMasks

    def loss(self, config: Sam3LossConfig, targets: Targets) -> Loss:
        criterion = DetectionLoss(config)
        matching = criterion.match(self.predictions, targets)
        spare = self.masks.one_to_many.take_along_dim(matching.spare.queries[..., None, None], dim=1)
        return criterion(self.predictions, self.masks._replace(one_to_many=spare), targets, matching)


@cache
def arrays() -> dict[str, np.ndarray]:
    return dict(np.load(FOLDER / "inputs.npz"))


def labels(masks: bool = True) -> list[dict[str, Tensor]]:
    """The targets as a user gives them."""
    given = {"boxes": torch.tensor(arrays()["target_boxes"])}
    if masks:
        given["masks"] = torch.tensor(arrays()["target_masks"])
    counts = arrays()["num_boxes"].tolist()
    rows = zip(*(tensor.split(counts) for tensor in given.values()), strict=True)
    return [dict(zip(given, row, strict=True)) for row in rows]


def targets(masks: bool = True) -> Targets:
    return Targets.of(labels(masks), 3, torch.device("cpu"))


def toy(dtype: torch.dtype = torch.float32) -> Toy:
    outputs = {name: torch.tensor(arrays()[name], dtype=dtype, requires_grad=True) for name in OUTPUTS}
    return of(outputs)


def of(outputs: dict[str, Tensor]) -> Toy:
    first = QuerySet(outputs["pred_logits"], outputs["pred_boxes"])
    second = QuerySet(outputs["pred_logits_o2m"], outputs["pred_boxes_o2m"])
    masks = PredictedMasks(outputs["pred_masks"], outputs["pred_masks_o2m"], outputs["semantic_seg"])
    return Toy(outputs, Predictions(first, second, outputs["presence_logits"]), masks)


def config_of(case: str) -> Sam3LossConfig:
    settings = EXPECTED["cases"][case]["settings"]
    return Sam3LossConfig(
        pad_n_queries=settings["pad_n_queries"],
        class_pos_weight=settings["pos_weight"],
        o2m_matcher_on_aux=settings["use_o2m_matcher_on_o2m_aux"],
    )
