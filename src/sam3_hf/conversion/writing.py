"""Puts files in place whole or not at all: they are written in a hidden folder and moved when all are there."""

import json
import os
import secrets
import shutil
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam3_hf.conversion.errors import ConversionError

WEIGHTS = "model.safetensors"

_TYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


@contextmanager
def staging(output: Path) -> Iterator[Path]:
    """A hidden folder whose files move to `output` when the block ends well; after any error it is removed.

    It stands inside `output` if that exists (another place could be on another disk), else beside it. A killed
    process leaves it behind as `.sam3-partial-*`, which nothing reads.
    """
    if output.exists() and not output.is_dir():
        raise ConversionError(f"{output} is a file. Pass a folder.")
    exists = output.is_dir()
    folder = (output if exists else output.parent) / f".sam3-partial-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
        yield folder
        if exists:
            _move_files(folder, output)
        else:
            os.replace(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def staged_file(output: Path) -> Iterator[Path]:
    """A hidden file that takes its place at `output` when the block ends well; after any error it is removed."""
    if output.is_dir():
        raise ConversionError(f"{output} is a folder. Pass a file.")
    path = output.with_name(f".sam3-partial-{secrets.token_hex(4)}{output.suffix}")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield path
        os.replace(path, output)
    finally:
        path.unlink(missing_ok=True)


def refuse_overwriting(folder: Path, output: Path) -> None:
    """Raises if `output` holds weights or any of the files that wait in `folder`."""
    names = {path.name for path in folder.iterdir()} | {WEIGHTS}
    existing = sorted(name for name in names if (output / name).exists())
    if existing:
        raise ConversionError(f"{output} already holds {', '.join(existing)}. Pass another folder, or overwrite=True.")


def write_weights(tensors: Mapping[str, Tensor], path: Path, dtype: torch.dtype | None) -> None:
    """One safetensors file, tensor by tensor; floating-point tensors in `dtype` if given.

    Written here because releases of safetensors up to 0.7 first copy all tensors into memory.
    """
    stored = {name: stored_type(tensor, dtype) for name, tensor in tensors.items()}
    # Wide types first, so that every tensor starts at a multiple of its item size.
    order = sorted(tensors, key=lambda name: (-stored[name].itemsize, name))
    with path.open("wb") as file:
        file.write(_header({name: (stored[name], tensors[name].shape) for name in order}))
        for name in order:
            file.write(_raw(tensors[name].to(stored[name])))


def stored_type(tensor: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """The given type for floating-point tensors, else the tensor's own."""
    return dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype


def _header(entries: Mapping[str, tuple[torch.dtype, torch.Size]]) -> bytes:
    """The safetensors header: its length, then type, shape and place of every tensor, padded to eight bytes."""
    values: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in entries.items():
        start, end = end, end + dtype.itemsize * shape.numel()
        values[name] = {"dtype": _TYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(values, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _raw(tensor: Tensor) -> memoryview:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _move_files(folder: Path, output: Path) -> None:
    """Weights first: without them a configuration would promise a model that is not there."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name != WEIGHTS):
        os.replace(path, output / path.name)
