"""The end of every processor's road: lists, arrays or tensors, on one device."""

from typing import Any

import torch
from torch import Tensor
from transformers.image_processing_base import BatchFeature
from transformers.utils.generic import TensorType


def pack(data: dict[str, list[Tensor]], return_tensors: Any, device: Any) -> BatchFeature:
    """Rows as stacked tensors (`"pt"`), stacked arrays (`"np"`), or lists: of tensors for pixels, of numbers otherwise.

    Raises:
        ValueError: Another `return_tensors`, rows of different sizes where they are to be stacked, or a device for
            lists or arrays.
    """
    kind = return_tensors.value if isinstance(return_tensors, TensorType) else return_tensors
    if kind not in ("pt", "np", None):
        raise ValueError(f'return_tensors is "pt", "np" or None; got {return_tensors!r}.')
    if device is not None and kind != "pt":
        raise ValueError('A device needs return_tensors="pt".')
    if kind is None:
        return BatchFeature({name: [_plain(row) for row in rows] for name, rows in data.items()})
    stacked = {name: _stack(name, rows).to(device) for name, rows in data.items()}
    return BatchFeature(stacked if kind == "pt" else {name: rows.cpu().numpy() for name, rows in stacked.items()})


def _stack(name: str, rows: list[Tensor]) -> Tensor:
    shapes = {tuple(row.shape) for row in rows}
    if len(shapes) > 1:
        raise ValueError(
            f"Cannot stack {name} of shapes {sorted(shapes)}; leave do_resize on, or pass return_tensors=None."
        )
    return torch.stack(rows)


def _plain(row: Tensor) -> Any:
    return row if row.is_floating_point() and row.ndim == 3 else row.tolist()
