"""Windows: a grid is cut into squares that attend on their own, and put together again.

grid [B, H, W, C] <-> windows [B*n, S*S, C], n = ceil(H/S) * ceil(W/S)
"""

from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def to_windows(grid: Float[Tensor, "B H W C"], side: int) -> Float[Tensor, "n S C"]:
    """Cut into squares of `side`; a grid that does not divide is padded with zeros right and below."""
    height, width = grid.shape[1:3]
    padded = F.pad(grid, (0, 0, 0, -width % side, 0, -height % side))
    blocks = padded.unflatten(2, (-1, side)).unflatten(1, (-1, side))  # [B, rows, side, columns, side, C]
    return blocks.transpose(2, 3).flatten(3, 4).flatten(0, 2)


def from_windows(windows: Float[Tensor, "n S C"], side: int, size: tuple[int, int]) -> Float[Tensor, "B H W C"]:
    """Undo `to_windows` for a grid of `size` (height, width); padding is cut away."""
    rows, columns = (-(-length // side) for length in size)
    blocks = windows.unflatten(0, (-1, rows, columns)).unflatten(3, (side, side))  # [B, rows, columns, side, side, C]
    return blocks.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, : size[0], : size[1]]


class Windows(NamedTuple):
    """How the tokens of square grids lie, and how they fall into windows.

    Attributes:
        side: Tokens along a side of a window.
        grid_side: Tokens along a side of a grid.
        in_order: Tokens lie window by window, which the grid has to be a multiple of. Otherwise they lie row by row.
    """

    side: int
    grid_side: int
    in_order: bool

    def arrange(self, rows: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        """Bring tokens that lie row by row into this order."""
        return self._cut(rows).reshape(rows.shape) if self.in_order else rows

    def restore(self, tokens: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        """Undo `arrange`."""
        return self._join(self._split(tokens)) if self.in_order else tokens

    def apart(self, tokens: Float[Tensor, "B N C"]) -> Float[Tensor, "n S C"]:
        """Each window on its own; nothing is moved if they are in order."""
        return self._split(tokens) if self.in_order else self._cut(tokens)

    def together(self, windows: Float[Tensor, "n S C"]) -> Float[Tensor, "B N C"]:
        """Undo `apart`."""
        return windows.reshape(-1, self.grid_side**2, windows.shape[-1]) if self.in_order else self._join(windows)

    def _split(self, tokens: Float[Tensor, "B N C"]) -> Float[Tensor, "n S C"]:
        return tokens.reshape(-1, self.side**2, tokens.shape[-1])

    def _cut(self, rows: Float[Tensor, "B N C"]) -> Float[Tensor, "n S C"]:
        return to_windows(rows.unflatten(1, (self.grid_side, self.grid_side)), self.side)

    def _join(self, windows: Float[Tensor, "n S C"]) -> Float[Tensor, "B N C"]:
        return from_windows(windows, self.side, (self.grid_side, self.grid_side)).flatten(1, 2)
