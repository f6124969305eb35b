"""Box bias: a query looks where its box is.

boxes [P, Q, 4], grid (H, W) -> bias [P, K, Q, H] + [P, K, Q, W], added to the attention logits of each head
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.layers.mlp import Head
from sam3_hf.ops.boxes import to_xyxy
from sam3_hf.ops.tiled_attention import GridBias


def _distances(edges: Float[Tensor, "P Q 2"], cells: int) -> Float[Tensor, "P Q N 2"]:
    """Signed distance of every cell along one axis to both edges of a box, on a log scale."""
    positions = torch.arange(cells, device=edges.device, dtype=torch.float32) / cells
    eighths = (positions[:, None] - edges[:, :, None]) * 8
    return eighths.sign() * torch.log2(eighths.abs() + 1) / math.log2(8)


def box_bias(boxes_cxcywh: Float[Tensor, "P Q 4"], size: tuple[int, int], embed_x: Head, embed_y: Head) -> GridBias:
    """Bias of every query and head towards every row and every column of cells."""
    height, width = size
    x1, y1, x2, y2 = to_xyxy(boxes_cxcywh.float()).unbind(-1)
    dtype = next(embed_x.parameters()).dtype
    columns = embed_x(_distances(torch.stack([x1, x2], -1), width).to(dtype))  # [P, Q, W, K]
    rows = embed_y(_distances(torch.stack([y1, y2], -1), height).to(dtype))  # [P, Q, H, K]
    # Cells side by side in memory, as fast attention with a bias needs them.
    return GridBias(rows.movedim(-1, 1).contiguous(), columns.movedim(-1, 1).contiguous())
