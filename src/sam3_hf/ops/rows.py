"""Rows of batches: numbers that the host decided on, brought to the device without waiting for it, and parts joined.

list of numbers -> tensor next to the one that it chooses from
parts [r, *S] -> whole [R, *S]
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int, Shaped
from torch import Tensor


def on_device(rows: Sequence[int], like: Tensor) -> Int[Tensor, "R"]:
    """Numbers of rows, on the device of `like`. Indexing with a list would make the host wait."""
    return torch.tensor(list(rows), dtype=torch.long).to(like.device, non_blocking=True)


def joined(parts: Sequence[Shaped[Tensor, "_ *S"]]) -> Shaped[Tensor, "R *S"]:
    """Rows one after the other; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
