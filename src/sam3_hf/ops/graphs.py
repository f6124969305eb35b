"""CUDA graphs: a compiled network that is replayed writes over what it gave before, unless that was copied.

begin_frame() -> networks -> kept(results) -> next frame
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

# Modes of `torch.compile` that record and replay.
_MODES = ("reduce-overhead", "max-autotune")


def has_graphs(mode: str | None = None, options: dict[str, Any] | None = None, **_: Any) -> bool:
    """Whether `torch.compile` with these arguments records CUDA graphs."""
    return mode in _MODES or bool((options or {}).get("triton.cudagraphs"))


def begin_frame() -> None:
    """From here on, results of replayed networks that were given before may be written over."""
    torch.compiler.cudagraph_mark_step_begin()


def kept(results: Any) -> Any:
    """Copies of all tensors in these results, in memory of their own."""
    return tree_map(lambda each: each.clone() if isinstance(each, Tensor) else each, results)
