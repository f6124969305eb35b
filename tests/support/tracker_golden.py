"""Recorded outputs of the original's interactive predictor, and the tiny model they were recorded with."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from sam3_hf.configuration_sam3_tracker import Sam3TrackerConfig
from sam3_hf.conversion.layout import to_our_layout
from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from tests.support import golden

FOLDER = Path(__file__).parents[1] / "data" / "original_tiny_tracker"
CASES: dict[str, dict[str, Any]] = json.loads((FOLDER / "cases.json").read_text())["cases"]
IMAGE = golden.FOLDER / "image0.png"
SIZE = (150, 200)


@dataclass(frozen=True)
class TrackerCase:
    """One recorded case: model inputs, whether several masks were asked for, what came out."""

    inputs: dict[str, Tensor]
    several: bool
    outputs: dict[str, Tensor]


@cache
def recorded(name: str) -> dict[str, Tensor]:
    return load_file(FOLDER / f"{name}.safetensors")


def case(name: str) -> TrackerCase:
    given = {key.removeprefix(f"{name}."): value for key, value in recorded("inputs").items()}
    inputs = {"pixel_values": recorded("inputs")["pixel_values"]}
    if f"{name}.points_model" in recorded("inputs"):
        inputs |= {"input_points": given["points_model"][None], "input_labels": given["labels"][None]}
    if f"{name}.boxes_model" in recorded("inputs"):
        inputs["input_boxes"] = given["boxes_model"][None]
    if CASES[name].get("mask"):
        inputs["input_masks"] = recorded("inputs")["low_res_mask_logits"]
    outputs = {key.removeprefix(f"{name}."): value for key, value in recorded("outputs").items()}
    return TrackerCase(inputs, CASES[name]["multimask"], {k: v for k, v in outputs.items() if "." not in k})


@cache
def released_weights() -> dict[str, Tensor]:
    """Every tensor of the tiny checkpoint in the released layout."""
    original = torch.load(golden.FOLDER / "sam3_tiny.pt", weights_only=True)
    return to_our_layout(original, json.loads((golden.FOLDER / "config.json").read_text()))


@cache
def tiny_weights() -> dict[str, Tensor]:
    """The image tracker's tensors under its own names."""
    names = Sam3TrackerModel(tiny_config()).state_dict()
    places = {"vision_encoder.backbone.": "detector_model.", "vision_encoder.neck.": "tracker_neck."}

    def released(name: str) -> str:
        if name.startswith("vision_encoder.neck."):
            return name.replace("vision_encoder.neck.", "tracker_neck.")
        prefix = next((place for start, place in places.items() if name.startswith(start)), "tracker_model.")
        return prefix + name

    return {name: released_weights()[released(name)] for name in names}


def tiny_config() -> Sam3TrackerConfig:
    return Sam3TrackerConfig.from_dict(json.loads((FOLDER / "config_sam3_tracker.json").read_text()))


def tiny_model() -> Sam3TrackerModel:
    """A fresh copy of the model that the reference was recorded with."""
    model = Sam3TrackerModel(tiny_config()).eval()
    model.load_state_dict(tiny_weights())
    return model
