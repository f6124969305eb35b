"""Recorded outputs of SAM 3.1's image detector, and the tiny checkpoint that it is in."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(__file__).parents[1] / "data" / "original_tiny_sam31"
CHECKPOINT = FOLDER / "sam31_tiny.pt"
CONFIG = FOLDER / "config.json"
FRAMES = {"text_only": [0], "text_boxes": [0], "visual_box": [5], "two_images": [0, 5]}
# The names of the recorded outputs, by the names of ours.
OUTPUTS = {
    "pred_logits": "class_logits",
    "pred_boxes": "pred_boxes_xyxy",
    "pred_masks": "pred_masks",
    "presence_logits": "presence_logits",
    "semantic_seg": "semantic_seg",
}


def pixels(frame: int) -> Tensor:
    image = np.asarray(Image.open(FOLDER / f"frame{frame:02}.png").convert("RGB"))
    return (torch.from_numpy(image.copy()).permute(2, 0, 1) / 255 - 0.5) / 0.5


def of_case(file: str, case: str) -> dict[str, Tensor]:
    recorded = load_file(FOLDER / f"detector_{file}.safetensors")
    return {name.removeprefix(f"{case}."): value for name, value in recorded.items() if name.startswith(f"{case}.")}


def inputs(case: str) -> dict[str, Tensor]:
    frames = torch.stack([pixels(frame) for frame in FRAMES[case]])
    # Recorded is the number of a frame; the model wants the number of an image that it was given.
    return of_case("inputs", case) | {"pixel_values": frames, "image_index": torch.arange(len(frames))}


def outputs(case: str) -> dict[str, Tensor]:
    """What was recorded, under the names of our outputs."""
    recorded = of_case("outputs", case)
    return {ours: recorded[theirs] for ours, theirs in OUTPUTS.items()} | {"joint": recorded["pred_logits_joint"]}


@cache
def tensors() -> dict[str, Tensor]:
    """The tiny checkpoint, under its original names."""
    return torch.load(CHECKPOINT, weights_only=True)


def expected() -> dict[str, dict]:
    """Shape and SHA-256 of every tensor after conversion."""
    return json.loads((FOLDER / "converted_tensors.json").read_text())["tensors"]
