"""Made-up inputs and outputs: a picture, and masks that look like those of a trained model."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F
from transformers.utils.generic import ModelOutput


def picture(size: tuple[int, int]) -> UInt8[Tensor, "3 H W"]:
    """Soft colours with fine grain."""
    generator = torch.Generator().manual_seed(0)
    soft = torch.rand(1, 3, 9, 12, generator=generator)
    large = F.interpolate(soft, size, mode="bilinear")[0].mul_(230)
    return large.add_(torch.randint(0, 25, size, generator=generator)).to(torch.uint8)


def names(count: int) -> list[str]:
    """As many different texts."""
    return [f"thing {number}" for number in range(count)]


def outputs(objects: int, side: int = 288) -> ModelOutput:
    """Outputs for one prompt with so many sure objects among at least 200 queries, round and with wavy outlines."""
    queries = max(200, objects)
    generator = torch.Generator().manual_seed(0)
    kept = torch.randperm(queries, generator=generator)[:objects]
    centres = torch.rand(queries, 2, generator=generator)
    radii = 0.05 + 0.2 * torch.rand(queries, generator=generator)
    logits, masks = torch.full((1, queries), -9.0), torch.full((queries, side, side), -9.0)
    logits[0, kept] = 3.0
    for query in kept.tolist():
        masks[query] = _blob(centres[query], radii[query], side, generator)
    return ModelOutput(
        pred_logits=logits,
        presence_logits=torch.full((1, 1), 9.0),
        pred_boxes=torch.cat([centres - radii[:, None], centres + radii[:, None]], 1)[None],
        pred_masks=masks[None],
    )


def _blob(
    centre: Float[Tensor, "2"], radius: Float[Tensor, ""], side: int, generator: torch.Generator
) -> Float[Tensor, "h w"]:
    waves = F.interpolate(torch.randn(1, 1, 16, 16, generator=generator), (side, side), mode="bicubic")[0, 0]
    line = torch.linspace(0, 1, side)
    distance = ((line[:, None] - centre[1]) ** 2 + (line - centre[0]) ** 2).sqrt()
    return 10 * (1 - distance / radius) + waves
