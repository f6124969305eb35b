"""Points: places of a mask that teach most, instead of every pixel (PointRend, arXiv 1912.08193).

logits [M, h, w] -> points [M, N, 2] as x, y in 0..1 -> values [M, N]
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sam3_hf.configuration_sam3_loss import Sam3LossConfig


def at(points: Float[Tensor, "M N 2"], maps: Float[Tensor, "M h w"]) -> Float[Tensor, "M N"]:
    """Values at points, bilinear between the centres of the cells and constant beyond, as resizing has them."""
    grid = 2 * points.unsqueeze(1) - 1
    return F.grid_sample(maps.unsqueeze(1), grid, "bilinear", padding_mode="border", align_corners=False)[:, 0, 0]


@torch.no_grad()
def doubtful_points(logits: Float[Tensor, "M h w"], count: int, config: Sam3LossConfig) -> Float[Tensor, "M N 2"]:
    """Random points; most are those among more candidates whose logit is nearest to zero."""
    candidates = torch.rand(len(logits), int(count * config.mask_oversample_ratio), 2).to(logits)
    doubtful = int(count * config.mask_importance_ratio)
    least_sure = at(candidates, logits).abs().topk(doubtful, largest=False).indices
    chosen = candidates.gather(1, least_sure.unsqueeze(-1).expand(-1, -1, 2))
    return torch.cat([chosen, torch.rand(len(logits), count - doubtful, 2).to(logits)], dim=1)
