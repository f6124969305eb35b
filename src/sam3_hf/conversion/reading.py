"""Opens weights; the bytes stay on disk until they are used.

path of a `.pt`, `.pth` or `.safetensors` file -> {original name: tensor}
folder that `save_pretrained` wrote -> {our name: tensor}
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sam3_hf.conversion.errors import ConversionError
from sam3_hf.released_names import mended
from sam3_hf.weight_files import check_archive, weight_files

_OLD_PREFIXES = {"sam3_model.": "detector.", "sam2_predictor.": "tracker."}


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Every tensor of the checkpoint, flat or nested under `"model"`, under its original name."""
    loaded = _reader(path)(path)
    if isinstance(loaded, dict) and isinstance(loaded.get("model"), dict):
        loaded = loaded["model"]
    if not isinstance(loaded, dict) or not loaded:
        raise ConversionError(f"{path} holds no dictionary of tensors. Pass the original's sam3.pt.")
    others = [str(name) for name, value in loaded.items() if not isinstance(value, Tensor)]
    if others:
        raise ConversionError(
            f"{path} holds {len(others)} entries that are not tensors, such as {others[0]!r}. "
            "Pass a file that holds the weights, alone or under the key 'model'."
        )
    return {_current(name): tensor for name, tensor in loaded.items()}


def read_folder(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a model folder, from one safetensors file or from its shards, under its right name."""
    try:
        files = weight_files(folder)
    except ValueError as error:
        raise ConversionError(str(error)) from error
    if not files:
        raise ConversionError(f"{folder} is no folder with a config.json and safetensors weights. Pass a model folder.")
    return {mended(name): tensor for file in files for name, tensor in _read_safetensors(file).items()}


def _current(name: str) -> str:
    """Older files of the original have other names for its two models."""
    for old, new in _OLD_PREFIXES.items():
        name = new + name.removeprefix(old) if name.startswith(old) else name
    return name


def _reader(path: Path) -> Callable[[Path], Any]:
    readers = {".pt": _read_torch, ".pth": _read_torch, ".safetensors": _read_safetensors}
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ConversionError(f"{path} {what}. Pass the original's checkpoint file, such as sam3.pt.")
    if path.suffix.lower() not in readers:
        raise ConversionError(f"{path} ends in none of {', '.join(readers)}. Pass the original's checkpoint file.")
    return readers[path.suffix.lower()]


def _read_torch(path: Path) -> Any:
    try:
        check_archive(path)
    except ValueError as error:
        raise ConversionError(str(error)) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ConversionError(
            f"{path} holds more than tensors and containers, and code in it is not run. Pass a file of weights alone."
        ) from error
    except (RuntimeError, EOFError, KeyError, ValueError) as error:
        raise ConversionError(_damaged(path, error)) from error
    except OSError as error:
        raise ConversionError(f"Cannot read {path}: {error.strerror or error}.") from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ConversionError(_damaged(path, error)) from error
    except OSError as error:
        raise ConversionError(f"Cannot read {path}: {error.strerror or error}.") from error


def _damaged(path: Path, error: Exception) -> str:
    reason = str(error).strip().splitlines() or ["the file is empty"]
    return f"{path} is not a complete {path.suffix} checkpoint ({reason[0]}). Download it again."
