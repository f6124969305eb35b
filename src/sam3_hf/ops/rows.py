"""Rows: numbers of rows that the host decided on, brought to the device without waiting for it.

list of numbers -> tensor next to the one that it chooses from
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor


def on_device(rows: Sequence[int], like: Tensor) -> Int[Tensor, "R"]:
    """Numbers of rows, on the device of `like`. Indexing with a list would make the host wait."""
    return torch.tensor(list(rows), dtype=torch.long).to(like.device, non_blocking=True)
