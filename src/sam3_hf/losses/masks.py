"""Mask terms: pixels of matched queries, and of all objects together.

logits [M, h, w] and masks, M times [H, W] -> chunks at [H, W], or points -> loss_mask, loss_dice
semantic logits [P, 1, h, w] -> loss_semantic_seg, loss_semantic_dice
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from sam3_hf.configuration_sam3_loss import Sam3LossConfig
from sam3_hf.losses.formulas import dice, focal
from sam3_hf.losses.matcher import Matches
from sam3_hf.losses.points import at, doubtful_points
from sam3_hf.losses.predictions import in_full
from sam3_hf.losses.targets import Targets


class PredictedMasks(NamedTuple):
    """Mask logits of the last layer: of the first set, of chosen queries of the second, of all objects together.

    Where no mask is compared, they may be those of any one row.
    """

    one_to_one: Float[Tensor, "#P Q h w"]
    one_to_many: Float[Tensor, "#P K h w"]
    semantic: Float[Tensor, "#P 1 h w"]


class Sharpness(NamedTuple):
    """Focal parameters."""

    alpha: float | int
    gamma: float | int


def mask_terms(
    logits: Float[Tensor, "#P Q h w"], targets: Targets, matches: Matches, objects: Tensor, config: Sam3LossConfig
) -> dict[str, Float[Tensor, ""]]:
    """Focal loss (mean over pixels) and dice of matched queries, summed over pairs, per object."""
    matches = matches.where(targets.mask_valid[matches.target])
    chosen = logits[matches.row, matches.query]
    masks = targets.masks_of(matches.target.tolist())
    compared = _compare(chosen, masks, Sharpness(config.mask_alpha, config.mask_gamma), config, config.mask_num_points)
    return {"loss_mask": compared[0].sum() / objects, "loss_dice": compared[1].sum() / objects}


def semantic_terms(
    logits: Float[Tensor, "#P 1 h w"], targets: Targets, config: Sam3LossConfig
) -> dict[str, Float[Tensor, ""]]:
    """The same of all objects together, as a mean over the rows in which there is anything."""
    said = {row: mask for row in range(len(targets.counts)) if (mask := targets.semantic_of(row)) is not None}
    rows = torch.tensor(list(said), dtype=torch.long, device=logits.device)
    sharpness = Sharpness(config.semantic_alpha, config.semantic_gamma)
    compared = _compare(logits[rows, torch.zeros_like(rows)], list(said.values()), sharpness, config)
    filled = [mask.any() for mask in said.values()]
    weight = torch.stack(filled).to(compared) if filled else compared.new_zeros(0)
    terms = (compared * weight).sum(-1) / (weight.sum() + 1e-6)
    return {"loss_semantic_seg": terms[0], "loss_semantic_dice": terms[1]}


def _compare(
    logits: Float[Tensor, "M h w"],
    masks: list[Tensor],
    sharpness: Sharpness,
    config: Sam3LossConfig,
    points: int | None = None,
) -> Float[Tensor, "2 M"]:
    """Focal loss and dice of each mask; full resolution exists for one chunk at a time, also in the backward pass."""
    logits = in_full(logits)
    # Keeps the logits in the graph where there is nothing to compare.
    chunks = [logits[:0].sum() * logits.new_zeros(2, 0)]
    for start in range(0, len(masks), config.mask_chunk_size):
        part = slice(start, start + config.mask_chunk_size)
        chunks.append(
            checkpoint(_compare_chunk, logits[part], masks[part], sharpness, config, points, use_reentrant=False)
        )
    return torch.cat(chunks, dim=1)


def _compare_chunk(
    logits: Float[Tensor, "m h w"],
    masks: list[Tensor],
    sharpness: Sharpness,
    config: Sam3LossConfig,
    points: int | None,
) -> Float[Tensor, "2 m"]:
    goals = torch.stack(masks).to(logits)
    if points is None:
        logits = F.interpolate(logits[None], goals.shape[1:], mode="bilinear", align_corners=False)[0].flatten(1)
        goals = goals.flatten(1)
    else:
        where = doubtful_points(logits, points, config)
        logits, goals = at(where, logits), at(where, goals)
    return torch.stack([focal(logits, goals, *sharpness).mean(1), dice(logits, goals)])
