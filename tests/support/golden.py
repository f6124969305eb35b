"""Recorded outputs of the original implementation, and the tiny model they were recorded with."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.conversion.layout import to_our_layout
from sam3_hf.modeling_sam3 import Sam3Model

FOLDER = Path(__file__).parents[1] / "data" / "original_tiny"
CASES = json.loads((FOLDER / "cases.json").read_text())["cases"]


@dataclass(frozen=True)
class Golden:
    """One recorded case: what went in and what came out."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    intermediates: dict[str, Tensor]


@cache
def recorded(name: str) -> dict[str, Tensor]:
    return load_file(FOLDER / f"{name}.safetensors")


def of_case(name: str, case: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{case}."): value for key, value in recorded(name).items() if key.startswith(f"{case}.")}


def case(name: str) -> Golden:
    inputs = of_case("inputs", name) | {"pixel_values": recorded("inputs")["pixel_values"]}
    return Golden(inputs, of_case("outputs", name), of_case("intermediates", name))


@cache
def tiny_weights() -> dict[str, Tensor]:
    """The detector's tensors under our names."""
    original = torch.load(FOLDER / "sam3_tiny.pt", weights_only=True)
    converted = to_our_layout(original, json.loads((FOLDER / "config.json").read_text()))
    prefix = "detector_model."
    return {key.removeprefix(prefix): value for key, value in converted.items() if key.startswith(prefix)}


def tiny_config() -> Sam3Config:
    return Sam3Config.from_dict(json.loads((FOLDER / "config_sam3.json").read_text()))


def tiny_model() -> Sam3Model:
    """A fresh copy of the model that the reference was recorded with."""
    model = Sam3Model(tiny_config()).eval()
    model.load_state_dict(tiny_weights())
    return model
