"""Storage: state as a folder of two files, numbers and names in JSON, tensors in safetensors; nothing in it can run.

kind, values, tensors -> state.json, state.safetensors -> the same, or a reason why not
MemoryBank -> values and tensors -> the same bank
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from sam3_hf.video.state import FrameMemory, MemoryBank, MemoryLimits

_VERSION = 1
_NUMBERS, _TENSORS = "state.json", "state.safetensors"
_TENSOR_NAMES = ("pointers", "object_score_logits", "features", "masks")


class Stored(NamedTuple):
    """What a folder holds."""

    values: dict[str, Any]
    tensors: dict[str, Tensor]


def write_state(folder: str | Path, kind: str, stored: Stored) -> None:
    """Write a folder, whole or not at all.

    Raises:
        ValueError: There is something at this place already.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} is there already, and is not overwritten; pass another folder.")
    partial = folder.parent / f".{folder.name}-partial-{secrets.token_hex(4)}"
    try:
        partial.mkdir(parents=True)
        save_file({name: tensor.contiguous() for name, tensor in stored.tensors.items()}, partial / _TENSORS)
        head = {"kind": kind, "version": _VERSION, "sha256": _sha256((partial / _TENSORS).read_bytes())}
        values = {**head, "values": stored.values}
        (partial / _NUMBERS).write_text(json.dumps({**values, "sha256_of_values": _digest(values)}), encoding="utf-8")
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_state(folder: str | Path, kind: str) -> Stored:
    """What `write_state` wrote, on the CPU.

    Raises:
        ValueError: It is not there, of another kind or version, or damaged.
    """
    folder = Path(folder)
    missing = [name for name in (_NUMBERS, _TENSORS) if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"{folder} holds no saved state: {' and '.join(missing)} missing.")
    try:
        head = json.loads((folder / _NUMBERS).read_text(encoding="utf-8"))
        given = head.pop("sha256_of_values")
        found, version, values = head["kind"], head["version"], head["values"]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{folder / _NUMBERS} is damaged or not the JSON of a saved state.") from error
    if found != kind or version != _VERSION:
        raise ValueError(f"{folder} holds {found!r}, version {version}; {kind!r}, version {_VERSION}, is expected.")
    data = (folder / _TENSORS).read_bytes()
    for name, expected, actual in ((_NUMBERS, given, _digest(head)), (_TENSORS, head["sha256"], _sha256(data))):
        if expected != actual:
            raise ValueError(f"{folder / name} is damaged: its checksum is not the one that was written with it.")
    try:
        return Stored(values, load(data))
    except SafetensorError as error:
        raise ValueError(f"{folder / _TENSORS} is damaged: {error}") from error


def store_bank(bank: MemoryBank, name: str) -> Stored:
    """A bank as values and tensors; `name` begins the names of the tensors."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {"objects": bank.objects, "limits": bank.limits and bank.limits._asdict()}
    for kind, frames in (("conditioning", bank.conditioning), ("tracked", bank.tracked)):
        values[kind] = []
        for number, memory in frames.items():
            parts = memory.tensors()
            tensors |= {f"{name}.{kind}.{number}.{part}": tensor for part, tensor in parts.items()}
            numbers = {key: value for key, value in asdict(memory).items() if key not in _TENSOR_NAMES}
            values[kind].append({"frame": number, **numbers})
    return Stored(values, tensors)


def restore_bank(values: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str) -> MemoryBank:
    """The bank of these values and tensors, frames in the order they were written."""
    limits = values["limits"] and MemoryLimits(**values["limits"])
    bank = MemoryBank(values["objects"], limits)
    for kind, frames in (("conditioning", bank.conditioning), ("tracked", bank.tracked)):
        for entry in values[kind]:
            parts = {part: tensors.get(f"{name}.{kind}.{entry['frame']}.{part}") for part in _TENSOR_NAMES}
            numbers = {key: tuple(entry[key]) for key in ("presence", "ious")}
            frames[entry["frame"]] = FrameMemory(**parts, **numbers, reverse=entry["reverse"])  # pyright: ignore
    return bank


def _digest(values: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(values, sort_keys=True).encode())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
