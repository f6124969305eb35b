"""What happens to tensors between the original checkpoint and ours: a closed set, each with its way back.

Every transform takes a list of tensors and gives a list of tensors; the rename table knows their names.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sam3_hf.conversion.errors import ConversionError

Step = Callable[[list[Tensor]], list[Tensor]]


class Transform(NamedTuple):
    """A step towards our layout, and the step back."""

    name: str
    forth: Step
    back: Step


def _split(tensors: list[Tensor]) -> list[Tensor]:
    return list(tensors[0].chunk(3))


def _join(tensors: list[Tensor]) -> list[Tensor]:
    return [torch.cat(tensors)]


def _rows(tensors: list[Tensor]) -> list[Tensor]:
    return list(tensors[0].split(1))


def _transpose(tensors: list[Tensor]) -> list[Tensor]:
    return [tensors[0].T]


def _without_class_token(tensors: list[Tensor]) -> list[Tensor]:
    return [tensors[0][:, 1:]]


def _with_class_token(tensors: list[Tensor]) -> list[Tensor]:
    # The position of the class token is lost on the way here; no computation of the original reads it.
    return [torch.cat([torch.zeros_like(tensors[0][:, :1]), tensors[0]], dim=1)]


def _only_copy(tensors: list[Tensor]) -> list[Tensor]:
    first, second = tensors
    if not first.is_meta and not torch.equal(first, second):
        raise ConversionError("Two copies of one original tensor differ, so it cannot be written back.")
    return [first]


COPY = Transform("copy", list, list)
SPLIT = Transform("split in three along the first dimension", _split, _join)
STACK = Transform("stack rows", _join, _rows)
TRANSPOSE = Transform("transpose", _transpose, _transpose)
DROP_CLASS_TOKEN = Transform("drop the class token's position", _without_class_token, _with_class_token)
DUPLICATE = Transform("write twice", lambda tensors: tensors * 2, _only_copy)
DROP = Transform("not stored", lambda tensors: [], lambda tensors: [])
