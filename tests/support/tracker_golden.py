"""Recorded outputs of the original's interactive predictor, and the tiny model they were recorded with."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sam3_hf.configuration_sam3_tracker import Sam3TrackerConfig
from sam3_hf.conversion.layout import to_our_layout
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from sam3_hf.processing_sam3_tracker import Sam3TrackerProcessor
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
    return {name: released_weights()[released_name(name)] for name in names}


def released_name(name: str) -> str:
    """What the released layout calls a tensor of the image tracker."""
    if name.startswith("vision_encoder.neck."):
        return name.replace("vision_encoder.neck.", "tracker_neck.")
    return ("detector_model." if name.startswith("vision_encoder.backbone.") else "tracker_model.") + name


def tiny_config() -> Sam3TrackerConfig:
    return Sam3TrackerConfig.from_dict(json.loads((FOLDER / "config_sam3_tracker.json").read_text()))


def tiny_model() -> Sam3TrackerModel:
    """A fresh copy of the model that the reference was recorded with."""
    model = Sam3TrackerModel(tiny_config()).eval()
    model.load_state_dict(tiny_weights())
    return model


@cache
def shared_model() -> Sam3TrackerModel:
    """The recorded model, for tests that do not change it."""
    return tiny_model()


def tiny_processor() -> Sam3TrackerProcessor:
    """A processor for the tiny model's image size."""
    return Sam3TrackerProcessor(Sam3ImageProcessor(size=168, mask_size=48))


def write_released(folder: Path) -> Path:
    """The tiny checkpoint as the released layout holds it: detector, tracker and its neck side by side."""
    weights = {name: tensor.clone().contiguous() for name, tensor in released_weights().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text((golden.FOLDER / "config.json").read_text())
    tiny_processor().save_pretrained(folder)
    return folder
