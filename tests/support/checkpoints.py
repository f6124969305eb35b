"""The tiny reference checkpoint, and the names and shapes of the released one."""

import gzip
import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor

DATA = Path(__file__).parents[1] / "data"
TINY = DATA / "original_tiny"
TINY_CHECKPOINT = TINY / "sam3_tiny.pt"
TINY_CONFIG = TINY / "config.json"
DROPPED = (".freqs_cis", "geometry_encoder.points_")


def released_tensors(layout: str, model: str = "sam3") -> dict[str, Tensor]:
    """Every tensor of a released model ("sam3", "sam31") on the meta device; `layout` is "original" or "hf"."""
    lines = gzip.decompress((DATA / "keys" / f"{layout}_{model}_keys.tsv.gz").read_bytes()).decode().splitlines()
    entries = (line.split("\t") for line in lines[1:])
    return {
        name: torch.empty(json.loads(shape), dtype=getattr(torch, dtype), device="meta")
        for name, shape, dtype in entries
    }


def released_shapes(layout: str, model: str = "sam3") -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in released_tensors(layout, model).items()}


def tiny_tensors() -> dict[str, Tensor]:
    """The tiny checkpoint, under its original names."""
    return torch.load(TINY_CHECKPOINT, weights_only=True)


def tiny_expected() -> dict[str, dict]:
    """Shape and SHA-256 of every tensor after conversion."""
    return json.loads((TINY / "converted_tensors.json").read_text())["tensors"]


def fingerprint(tensor: Tensor) -> dict:
    data = tensor.detach().float().contiguous().numpy().astype("<f4").tobytes()
    return {"shape": list(tensor.shape), "sha256": hashlib.sha256(data).hexdigest()}


def was_dropped(name: str) -> bool:
    return any(part in name for part in DROPPED)
