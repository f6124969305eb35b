"""Simulated prompts: what a person would click on, made of what is there and what was answered.

truth [R, H, W] -----------------> first click or box
truth, answer [R, H, W] ---------> a click where the answer is wrong, which says what is there

Coordinates are pixels of the model's square input, whose side is given. All chance comes from a generator on the CPU:
one seed, the same clicks on every device.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from sam3_hf.ops.components import components
from sam3_hf.ops.masks import boxes_of_masks
from sam3_hf.tracker.prompts import Clicks

# How far corners of a box stray, as a share of its side, and at most, as a share of the image's (SAM 2's 20 of 1024).
_STRAY, _MOST_STRAY = 0.1, 0.02


def random_click(region: Bool[Tensor, "R H W"], truth: Bool[Tensor, "R H W"], side: int, chance: Generator) -> Clicks:
    """A click anywhere in each region, every pixel as likely; it says what is there."""
    draws = torch.rand(region.shape, generator=chance).to(region.device)
    return _click_at((draws + region).flatten(1).argmax(1), truth, side)


def centre_click(region: Bool[Tensor, "R H W"], truth: Bool[Tensor, "R H W"], side: int) -> Clicks:
    """A click where each region is thickest; it says what is there."""
    depth = _depth(region)
    ridge = depth == depth.amax((1, 2), keepdim=True)
    y, x = (torch.arange(n, device=region.device) for n in region.shape[1:])
    count = ridge.sum((1, 2))
    middle_y, middle_x = ((ridge * axis).sum((1, 2)) / count for axis in (y[:, None], x))
    away = (y[:, None] - middle_y[:, None, None]) ** 2 + (x - middle_x[:, None, None]) ** 2
    return _click_at(away.masked_fill(~ridge, torch.inf).flatten(1).argmin(1), truth, side)


def box_prompt(truth: Bool[Tensor, "R H W"], side: int, chance: Generator | None = None) -> Clicks:
    """Two corners of a box around each object; each edge a little off where `chance` is given."""
    height, width = truth.shape[1:]
    scale = torch.tensor([side / width, side / height] * 2, device=truth.device)
    boxes_xyxy_px = boxes_of_masks(truth) * scale
    if chance is not None:
        sides = (boxes_xyxy_px[:, 2:] - boxes_xyxy_px[:, :2]).repeat(1, 2)
        draws = 2 * torch.rand(boxes_xyxy_px.shape, generator=chance).to(truth.device) - 1
        boxes_xyxy_px = boxes_xyxy_px + draws * (_STRAY * sides).clamp(max=_MOST_STRAY * side)
    return Clicks.of_boxes(boxes_xyxy_px.clamp(0, side).unsqueeze(0))


def wrong_region(truth: Bool[Tensor, "R H W"], found: Bool[Tensor, "R H W"]) -> Bool[Tensor, "R H W"]:
    """Where a correction may be: all that is wrong; the object if nothing is; anywhere if there is none either."""
    return _or(_or(truth ^ found, truth), torch.ones_like(truth))


def largest_wrong_region(truth: Bool[Tensor, "R H W"], found: Bool[Tensor, "R H W"]) -> Bool[Tensor, "R H W"]:
    """The largest piece that is missing or too much; as `wrong_region` if there is none."""
    wrong = torch.stack([truth & ~found, found & ~truth], 1)
    pieces = components(wrong.flatten(0, 1))
    labels = pieces.labels.view_as(wrong)
    largest = pieces.areas.view_as(wrong).flatten(1).argmax(1, keepdim=True)
    label = labels.flatten(1).gather(1, largest)[..., None, None]
    return _or(((labels == label) & wrong).any(1), wrong_region(truth, found))


def _or(region: Bool[Tensor, "R H W"], other: Bool[Tensor, "R H W"]) -> Bool[Tensor, "R H W"]:
    """Each region, or the other one where it is empty."""
    return torch.where(region.flatten(1).any(1)[:, None, None], region, other)


def _click_at(place: Int[Tensor, "R"], truth: Bool[Tensor, "R H W"], side: int) -> Clicks:
    """A click on a pixel, counted row by row."""
    height, width = truth.shape[1:]
    centres = torch.stack([(place % width + 0.5) * side / width, (place // width + 0.5) * side / height], -1)
    # The prompt encoder adds half a pixel to every coordinate.
    return Clicks(centres.unsqueeze(1) - 0.5, truth.flatten(1).gather(1, place[:, None]).long())


def _depth(region: Bool[Tensor, "R H W"]) -> Float[Tensor, "R H W"]:
    """How often a region can lose its outermost pixels before each of them goes; the image's edge is an outline."""
    left = F.pad(region.float(), (1, 1, 1, 1)).unsqueeze(1)
    depth = torch.zeros_like(left)
    while left.any():
        depth += left
        left = F.pad(-F.max_pool2d(-left, 3, 1), (1, 1, 1, 1))
    return depth[:, 0, 1:-1, 1:-1]
