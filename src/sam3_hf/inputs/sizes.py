"""Sizes, in whatever form they come, as `(height, width)` in whole pixels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor


def read_size(size: Any, name: str) -> tuple[int, int]:
    """One size: `{"height": ..., "width": ...}`, `(height, width)` or one number for a square.

    Raises:
        ValueError: Another form, or not positive whole numbers; `name` says which argument.
    """
    pair = _pair(size)
    if pair is None or any(
        isinstance(n, bool) or not isinstance(n, (int, float)) or n != n // 1 or n < 1 for n in pair
    ):
        raise ValueError(
            f'{name} is {{"height": h, "width": w}}, (height, width) or one positive whole number; got {size!r}.'
        )
    return int(pair[0]), int(pair[1])


def read_sizes(sizes: Any, name: str) -> list[tuple[int, int]]:
    """A list, array or tensor of sizes, one per image.

    Raises:
        ValueError: Not a list of sizes; `name` says which argument.
    """
    rows = sizes.tolist() if isinstance(sizes, (np.ndarray, Tensor)) else sizes
    if not isinstance(rows, (list, tuple)) or any(isinstance(row, (int, float)) for row in rows):
        raise ValueError(f"{name} is a list of (height, width), one per image; got {sizes!r}.")
    return [read_size(row, f"Each entry of {name}") for row in rows]


def _pair(size: Any) -> list[Any] | None:
    """Height and width, or nothing if this is no size."""
    if hasattr(size, "height") and hasattr(size, "width"):
        size = {"height": size.height, "width": size.width}
    if isinstance(size, Mapping):
        known = {name for name, value in size.items() if value is not None}
        return [size["height"], size["width"]] if known == {"height", "width"} else None
    if isinstance(size, (np.ndarray, np.generic, Tensor)):
        size = size.tolist()
    pair = [size, size] if isinstance(size, (int, float)) else size
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        return None
    return [n.item() if isinstance(n, (np.generic, np.ndarray, Tensor)) else n for n in pair]
