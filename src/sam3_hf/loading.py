"""A model and its processor, from a folder or the Hub, or one sentence that says why not.

source -> files there? -> Sam3Model, Sam3Processor, or their tracker counterparts, on one device
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError

from sam3_hf.hub import problem_with
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.modeling_sam3_video import Sam3VideoModel
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.processing_sam3_tracker import Sam3TrackerProcessor
from sam3_hf.processing_sam3_tracker_video import Sam3TrackerVideoProcessor
from sam3_hf.processing_sam3_video import Sam3VideoProcessor

DTYPES = ("auto", "float32", "bfloat16", "float16")
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_NEEDED = {
    "configuration": ("config.json",),
    "weights": (
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
    ),
    "image processor": ("preprocessor_config.json", "processor_config.json"),
    "tokenizer": ("tokenizer.json", "vocab.json"),
}
_NO_TEXTS = ("configuration", "weights", "image processor")


class LoadingError(ValueError):
    """The message says in one sentence what is wrong and what to do."""


class Loaded(NamedTuple):
    """A model in evaluation mode, and the processor that belongs to it."""

    model: Sam3Model
    processor: Sam3Processor


class LoadedTracker(NamedTuple):
    """The interactive half in evaluation mode, and the processor that belongs to it."""

    model: Sam3TrackerModel
    processor: Sam3TrackerProcessor


class LoadedVideo(NamedTuple):
    """The model that finds and follows concepts, in evaluation mode, and the processor that belongs to it."""

    model: Sam3VideoModel
    processor: Sam3VideoProcessor


class LoadedVideoTracker(NamedTuple):
    """The model that follows single objects, in evaluation mode, and the processor that belongs to it."""

    model: Sam3TrackerVideoModel
    processor: Sam3TrackerVideoProcessor


def load(source: str | Path, dtype: str = "auto", device: str | torch.device = "cpu") -> Loaded:
    """Load a model with its processor.

    Args:
        source: A folder that `convert_checkpoint.py` or `save_pretrained` wrote, or a Hub id such as "facebook/sam3".
        dtype: "float32", "bfloat16", "float16", or "auto" for the type that the weights are stored in.
        device: Where the model runs.

    Raises:
        LoadingError: Not there, not accessible, not complete, not SAM 3, or the device or type cannot be used.
    """
    return Loaded(*_load((Sam3Model, Sam3Processor), tuple(_NEEDED), source, dtype, device))


def load_tracker(source: str | Path, dtype: str = "auto", device: str | torch.device = "cpu") -> LoadedTracker:
    """Load the interactive half with its processor; arguments and errors as `load`. A tokenizer need not be there."""
    return LoadedTracker(*_load((Sam3TrackerModel, Sam3TrackerProcessor), _NO_TEXTS, source, dtype, device))


def load_video(source: str | Path, dtype: str = "auto", device: str | torch.device = "cpu") -> LoadedVideo:
    """Load the video model with its processor; arguments and errors as `load`. The checkpoint must hold all parts."""
    return LoadedVideo(*_load((Sam3VideoModel, Sam3VideoProcessor), tuple(_NEEDED), source, dtype, device))


def load_video_tracker(
    source: str | Path, dtype: str = "auto", device: str | torch.device = "cpu"
) -> LoadedVideoTracker:
    """Load the video tracker with its processor; arguments and errors as `load`. A tokenizer need not be there."""
    classes = Sam3TrackerVideoModel, Sam3TrackerVideoProcessor
    return LoadedVideoTracker(*_load(classes, _NO_TEXTS, source, dtype, device))


def _load(
    classes: tuple[Any, Any], needed: Iterable[str], source: str | Path, dtype: str, device: str | torch.device
) -> tuple[Any, Any]:
    """The model and its processor, of these classes."""
    target = check_device(device)
    check_dtype(dtype)
    check_source(source, needed)
    problem = None if Path(source).is_dir() else problem_with(str(source))
    if problem:
        raise LoadingError(_one_line(problem))
    try:
        model_class, processor_class = classes
        processor = processor_class.from_pretrained(source)
        model = model_class.from_pretrained(source, dtype=dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise LoadingError(f"{source} cannot be loaded: {_one_line(error)}") from error
    return model.to(target).eval(), processor


def check_dtype(dtype: str) -> str:
    """The name, if it is one of `DTYPES`.

    Raises:
        LoadingError: It is not.
    """
    if dtype not in DTYPES:
        raise LoadingError(f"Unknown dtype {dtype!r}; choose one of {', '.join(DTYPES)}.")
    return dtype


def check_device(device: str | torch.device) -> torch.device:
    """The device, if tensors can be put there.

    Raises:
        LoadingError: Unknown, or not on this machine.
    """
    try:
        target = torch.device(device)
    except RuntimeError as error:
        raise LoadingError(f'Unknown device {str(device)!r}; pass "cpu", "cuda", "cuda:1" or the like.') from error
    if target.type == "cuda" and not torch.cuda.is_available():
        raise LoadingError('CUDA is not available here; pass "cpu" as device.')
    try:
        torch.zeros(1, device=target).item()
    except (AssertionError, ImportError, NotImplementedError, RuntimeError) as error:
        raise LoadingError(f'Device "{target}" cannot be used here: {_one_line(error, 160)}') from error
    return target


def check_source(source: str | Path, needed: Iterable[str] = tuple(_NEEDED)) -> None:
    """A quick look, before anything is loaded, at whether this can be a model with all the parts needed.

    Raises:
        LoadingError: A file, a folder that lacks a part, or neither a folder nor a Hub id.
    """
    path = Path(source)
    if path.is_file():
        raise LoadingError(f"{path} is a file; convert a checkpoint of the original with convert_checkpoint.py first.")
    if path.is_dir():
        missing = [part for part in needed if not any((path / name).is_file() for name in _NEEDED[part])]
        if missing:
            wanted = " and ".join(f"no {part} ({_NEEDED[part][0]})" for part in missing)
            raise LoadingError(f"{path} is not a complete model folder: it holds {wanted}.")
    elif not _HUB_ID.fullmatch(str(source)):
        raise LoadingError(f"No model folder {str(source)!r}, and no Hub id (owner/name) either.")


def _one_line(error: BaseException | str, length: int = 400) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else text[: length - 3] + "..."
