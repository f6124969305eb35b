"""How close pixels come to those of transformers, which resizes with torchvision."""

import torch
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as vision


def pixel_tolerance() -> float:
    """One level of 256 where this torchvision takes bytes to floats and back (older ones do, with AVX512)."""
    picture = torch.randint(0, 256, (1, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ours = F.interpolate(picture, (30, 30), mode="bilinear", antialias=True)
    return 1e-6 if ours.equal(vision.resize(picture, [30, 30], antialias=True)) else 2.01 / 255
