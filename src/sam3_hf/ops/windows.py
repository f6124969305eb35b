"""Windows: a grid is cut into squares that attend on their own, and put together again.

grid [B, H, W, C] <-> windows [B*n, S*S, C], n = ceil(H/S) * ceil(W/S)
"""

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
