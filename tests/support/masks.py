"""Mask logits like those of a model, and unlike them."""

import torch
from torch import Tensor
from torch.nn import functional as F


def blobs(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Round objects with wavy outlines, positive inside."""
    generator = torch.Generator().manual_seed(seed)
    waves = torch.randn(count, 1, 2 + height // 20, 2 + width // 20, generator=generator)
    waves = F.interpolate(waves, (height, width), mode="bicubic")[:, 0]
    centres, radii = (
        torch.rand(count, 2, 1, 1, generator=generator),
        0.05 + 0.2 * torch.rand(count, 1, 1, generator=generator),
    )
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    distance = ((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2).sqrt()
    return 10 * (radii - distance) / radii + waves


def noise(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """No two neighbours agree."""
    return torch.randn(count, height, width, generator=torch.Generator().manual_seed(seed))
