"""Tables that depend on sizes alone, such as positions: made once for a device and a type, and kept.

sizes, like -> table, the same tensors for the same sizes
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

_Table = TypeVar("_Table")

# So many tables are kept, those used last, and none that has more bytes.
_MOST, _LARGEST = 32, 12_000_000


def kept_table(make: Callable[..., _Table]) -> Callable[..., _Table]:
    """The same function of sizes and, last, a tensor of the device and type that are wanted.

    Its results are shared, so they must not be changed in place. Where networks are compiled, traced or recorded, each
    call makes its own.
    """
    tables: dict[Any, _Table] = {}

    @wraps(make)
    def table(*sizes_and_like: Any) -> _Table:
        *sizes, like = sizes_and_like
        if _is_recorded(like):
            return make(*sizes, like)
        key = (*sizes, like.device, like.dtype)
        # In order of use.
        found = tables.pop(key, None)
        if found is not None:
            tables[key] = found
            return found
        # Also of use where gradients are wanted later.
        with torch.inference_mode(False), torch.no_grad():
            found = make(*sizes, like)
        if sum(part.nbytes for part in tree_leaves(found) if isinstance(part, Tensor)) <= _LARGEST:
            tables[key] = found
            while len(tables) > _MOST:
                tables.pop(next(iter(tables)), None)
        return found

    return table


def _is_recorded(like: Tensor) -> bool:
    """Whether calls are looked at instead of simply being made."""
    return (
        type(like) not in (Tensor, torch.nn.Parameter)
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        or (like.is_cuda and torch.cuda.is_current_stream_capturing())
    )
