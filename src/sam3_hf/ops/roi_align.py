"""ROI align: a fixed-size window of features from every box, as the average of bilinear samples.

Same values as torchvision's C++ operator with `aligned=False` and adaptive sampling, on any device and dtype, without a
loop over samples: along one axis the samples of a bin form a regular row, a cell can only be reached by the few of them
that lie within one cell of it, and the two axes separate. Each box costs two small matrix products.
"""

import torch
from jaxtyping import Float
from torch import Tensor

# Two samples of a bin are more than half a cell apart, so at most four lie within one cell of a given cell (both ends
# included); two more cover rounding at either end.
_REACH = 6


def _axis_weights(
    start: Float[Tensor, "*B"], end: Float[Tensor, "*B"], bins: int, cells: int
) -> Float[Tensor, "*B bins cells"]:
    """How much each of `cells` cells contributes to each of `bins` bins between `start` and `end` (in cells)."""
    # Parity: a box narrower than one cell is widened to one.
    bin_length = ((end - start).clamp(min=1) / bins)[..., None, None, None]
    samples = bin_length.ceil()
    step = bin_length / samples
    index = torch.arange(bins, device=start.device, dtype=start.dtype)[:, None, None]
    cell = torch.arange(cells, device=start.device, dtype=start.dtype)[:, None]
    origin = start[..., None, None, None] + index * bin_length
    first = ((cell - 1 - origin) / step - 0.5).floor().clamp(min=0)
    sample = first + torch.arange(_REACH, device=start.device, dtype=start.dtype)
    position = origin + (sample + 0.5) * step
    # Parity: samples up to one cell outside count as the border, samples further out as zero.
    counts = (sample >= 0) & (sample < samples) & (position >= -1) & (position <= cells)
    weight = (1 - (position.clamp(0, cells - 1) - cell).abs()).clamp(min=0)
    return (weight * counts).sum(-1) / samples.squeeze(-1)


def roi_align(
    grid: Float[Tensor, "B C H W"], boxes_xyxy: Float[Tensor, "B N 4"], side: int
) -> Float[Tensor, "B N C side side"]:
    """Pool `side` x `side` features from each box.

    Args:
        grid: One feature map per image.
        boxes_xyxy: Boxes of each image, relative to it (0..1); they may reach outside.
        side: Bins along each side.

    Returns:
        The pooled features, in the dtype of `grid`; positions are computed in float32.
    """
    height, width = grid.shape[-2:]
    edges = zip(boxes_xyxy.float().unbind(-1), (width, height, width, height), strict=True)
    x1, y1, x2, y2 = (edge * length for edge, length in edges)
    rows = _axis_weights(y1, y2, side, height).to(grid.dtype)
    columns = _axis_weights(x1, x2, side, width).to(grid.dtype)
    pooled_rows = torch.einsum("bnih,bchw->bnciw", rows, grid)
    return torch.einsum("bnciw,bnjw->bncij", pooled_rows, columns)
