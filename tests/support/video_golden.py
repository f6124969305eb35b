"""Recorded runs of the original's video tracker, and the tiny model they were recorded with."""

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig, video_tracker
from sam3_hf.conversion.layout import to_our_layout
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.processing_sam3_tracker_video import Sam3TrackerVideoProcessor
from sam3_hf.video.session import Sam3TrackerVideoInferenceSession
from tests.support import golden

FOLDER = Path(__file__).parents[1] / "data" / "original_tiny_video"
SIZE = (72, 96)
SIDE = 168
_BEGINNINGS = {
    "detector_model.vision_encoder.backbone.": "vision_encoder.backbone.",
    "tracker_neck.": "vision_encoder.neck.",
    "tracker_model.": "",
}


@cache
def recorded() -> dict[str, Any]:
    return json.loads(gzip.decompress((FOLDER / "tracker_cases.json.gz").read_bytes()))


def cases() -> dict[str, Any]:
    return recorded()["cases"]


@cache
def outputs() -> dict[str, Tensor]:
    with np.load(FOLDER / "tracker_outputs.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def images() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted((FOLDER / "frames").glob("*.png"))]


@cache
def pixel_values() -> Tensor:
    """Frames as they were recorded: bicubic, and normalized in half precision."""
    frames = np.stack([np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in images()])
    values = torch.from_numpy(frames).permute(0, 3, 1, 2).half()
    return ((values / 255 - 0.5) / 0.5).float()


@cache
def config_values() -> dict[str, Any]:
    return json.loads((golden.FOLDER / "config.json").read_text())


def for_transformers(values: dict[str, Any]) -> dict[str, Any]:
    """A tiny configuration with the width that transformers' memory attention is fixed to."""

    def widened(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return for_transformers(value)
        wide = value == 32 and name.endswith(("hidden_size", "embed_dim"))
        return 64 if wide or name == "memory_encoder_output_channels" else value

    return {name: widened(name, value) for name, value in values.items()}


@cache
def original_weights() -> dict[str, Tensor]:
    """The tiny checkpoint under its original names, with the tensors that the recording replaced."""
    base = torch.load(golden.FOLDER / "sam3_tiny.pt", weights_only=True)
    return base.get("model", base) | load_file(FOLDER / "overrides.safetensors")


@cache
def weights() -> dict[str, Tensor]:
    """Every tensor in the released layout."""
    return to_our_layout(original_weights(), config_values())


def released_name(name: str) -> str:
    """What a tensor of the video tracker is called in the released layout."""
    released, ours = next(pair for pair in _BEGINNINGS.items() if name.startswith(pair[1]))
    return released + name.removeprefix(ours)


def tracker(**changes: Any) -> Sam3TrackerVideoModel:
    """A fresh copy of the recorded video tracker."""
    model = Sam3TrackerVideoModel(Sam3TrackerVideoConfig(**video_tracker(config_values()))).eval()
    model.load_state_dict(
        {
            ours + name.removeprefix(released): tensor
            for name, tensor in weights().items()
            for released, ours in _BEGINNINGS.items()
            if name.startswith(released)
        }
    )
    for name, value in changes.items():
        setattr(model.config, name, value)
    return model


@cache
def shared_tracker(use_memory_selection: bool = True) -> Sam3TrackerVideoModel:
    """The recorded video tracker, for tests that do not change it."""
    return tracker(use_memory_selection=use_memory_selection)


@cache
def processor() -> Sam3TrackerVideoProcessor:
    return Sam3TrackerVideoProcessor(Sam3ImageProcessor(size=SIDE, mask_size=48))


def session(**options: Any) -> Sam3TrackerVideoInferenceSession:
    """A session on the recorded frames."""
    return Sam3TrackerVideoInferenceSession(pixel_values(), video_height=SIZE[0], video_width=SIZE[1], **options)


def point(x: float, y: float) -> list:
    """One point of one object, from shares of the frame's sides."""
    return [[[[x * SIZE[1], y * SIZE[0]]]]]


def add(session: Sam3TrackerVideoInferenceSession, step: dict[str, Any]) -> None:
    """What a recorded step says about its object."""
    height, width = SIZE
    given: dict[str, Any] = {}
    if "points" in step:
        given["input_points"] = [[[[x * width, y * height] for x, y in step["points"]]]]
        given["input_labels"] = [[step["labels"]]]
    if "box" in step:
        x1, y1, x2, y2 = step["box"]
        given["input_boxes"] = [[[x1 * width, y1 * height, x2 * width, y2 * height]]]
    if "mask" in step:
        given["input_masks"] = outputs()[f"prompt_mask.{step['mask']}"]
    given["clear_old_inputs"], given["use_memory"] = step.get("clear_old", True), step.get("use_prev_mem", False)
    processor().add_inputs_to_inference_session(session, step["frame"], step["obj"], **given)


def replay(
    model: Sam3TrackerVideoModel, session: Sam3TrackerVideoInferenceSession, name: str
) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Run a case step by step; gives the beginning of each step's recorded names, the step, and what came of it."""
    for number, step in enumerate(cases()[name]["steps"]):
        key, result = f"{name}.{number}", None
        if step["op"] == "add":
            add(session, step)
            # Joint masks wait for each other; everything else is answered at once, as it was recorded.
            if not (session.joint and "mask" in step):
                result = model(session, frame_idx=step["frame"])
        elif step["op"] == "propagate":
            options = (step["start"], step["max_frames"], step["reverse"])
            result = list(model.propagate_in_video_iterator(session, *options))
        elif step["op"] == "remove":
            session.remove_object(step["obj"], strict=True)
        else:
            session.remove_inputs(step["obj"], step["frame"])
        yield key, step, result
