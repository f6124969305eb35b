"""Floating-point types by name."""

from collections.abc import Mapping
from functools import reduce
from typing import Literal, get_args

import torch
from torch import Tensor

from sam3_hf.conversion.errors import ConversionError

Precision = Literal["float32", "bfloat16", "float16"]


def as_dtype(given: str | torch.dtype | None) -> torch.dtype | None:
    """The type of that name; `None` stays `None`."""
    if given is None or isinstance(given, torch.dtype):
        return given
    if given not in get_args(Precision):
        raise ConversionError(f"dtype must be one of {', '.join(get_args(Precision))}, got {given!r}.")
    return getattr(torch, given)


def common_dtype(tensors: Mapping[str, Tensor]) -> torch.dtype:
    """The type that holds the values of all these tensors."""
    return reduce(torch.promote_types, {tensor.dtype for tensor in tensors.values()})


def dtype_name(dtype: torch.dtype) -> str:
    """The name as a configuration has it, such as "float32"."""
    return str(dtype).removeprefix("torch.")
