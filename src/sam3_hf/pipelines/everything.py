"""Everything in an image: a grid of single clicks, each asked what it is on; good, stable and distinct masks stay.

image -> crops -> embeddings -> points, a batch at a time -> candidates (no masks kept) -> duplicates leave
      -> the points that stay, a batch at a time -> masks as run-length codes

No more masks are in memory at once than a batch of points has, because those that stay are computed a second time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sam3_hf.image_processing_sam3_tracker import placed
from sam3_hf.inputs.crops import Crop, crops_of, near_crop_edge, point_grid
from sam3_hf.inputs.images import read_image
from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from sam3_hf.ops.components import tidy
from sam3_hf.ops.masks import binarize_at, boxes_of_masks, decode_rle, encode_rle
from sam3_hf.ops.nms import box_areas, nms
from sam3_hf.ops.stability import stability


@dataclass(frozen=True)
class EverythingSettings:
    """How to look, and what to keep.

    Args:
        points_per_side: Points along each side of the image.
        points_per_batch: Points that are asked at once; memory grows with it.
        pred_iou_thresh: Expected quality that a mask must exceed.
        stability_score_thresh: Stability that a mask must exceed.
        stability_score_offset: How far the threshold of the logits is moved to measure stability.
        box_nms_thresh: Overlap of boxes from which the worse of two masks of a crop leaves.
        crops_n_layers: Layers of crops beside the image itself, the first with 2 x 2 crops, the next with 4 x 4, ...
        crop_overlap_ratio: Overlap of neighbouring crops, as a share of the image's shorter side.
        crop_n_points_downscale_factor: How many times fewer points each further layer has along a side of a crop.
        crops_nms_thresh: Overlap of boxes from which the mask of the larger of two crops leaves.
        max_hole_area: Holes of at most so many pixels of the low-resolution masks are filled.
        max_sprinkle_area: Specks of at most so many pixels of the low-resolution masks are removed.
    """

    points_per_side: int = 32
    points_per_batch: int = 32
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crops_n_layers: int = 0
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    crops_nms_thresh: float = 0.7
    max_hole_area: float = 0.0
    max_sprinkle_area: float = 0.0


class FoundMask(NamedTuple):
    """One of the things in an image; box in pixels of the image, right and bottom exclusive."""

    rle: dict[str, Any]
    box: tuple[int, int, int, int]
    score: float
    stability: float
    point: tuple[float, float]
    crop: tuple[int, int, int, int]

    @property
    def mask(self) -> Bool[Tensor, "H W"]:
        """The mask at the size of the image."""
        return decode_rle(self.rle)


class _Candidates(NamedTuple):
    """Masks of a crop that may stay: from which point, which of its masks, and what is known of them."""

    point: Int[Tensor, "K"]
    which: Int[Tensor, "K"]
    score: Float[Tensor, "K"]
    stability: Float[Tensor, "K"]
    boxes_xyxy_px: Float[Tensor, "K 4"]

    def part(self, places: Tensor) -> "_Candidates":
        """Some of them."""
        return _Candidates(*(values[places] for values in self))


class _View(NamedTuple):
    """A crop as the model has seen it: embeddings, and the grid of points in 0..1 of the crop."""

    crop: Crop
    embeddings: list[Tensor]
    points: Float[Tensor, "N 2"]


@torch.no_grad()
def segment_everything(
    model: Sam3TrackerModel, processor: Any, image: Any, settings: EverythingSettings | None = None
) -> list[FoundMask]:
    """Masks of all that single clicks find in an image, best first.

    Args:
        model: The tracker.
        processor: A `Sam3TrackerProcessor` or `Sam3ImageProcessor`.
        image: What the processor takes as one image.
        settings: How to look, and what to keep.
    """
    settings = settings or EverythingSettings()
    images = getattr(processor, "image_processor", processor)
    picture = read_image(image, None, convert_rgb=True)
    size = (picture.shape[1], picture.shape[2])
    found: list[FoundMask] = []
    for crop in crops_of(size, settings.crops_n_layers, settings.crop_overlap_ratio):
        x1, y1, x2, y2 = crop.box
        pixels = images(picture[:, y1:y2, x1:x2], return_tensors="pt", device=model.device)["pixel_values"]
        per_side = int(settings.points_per_side / settings.crop_n_points_downscale_factor**crop.layer)
        view = _View(crop, model.get_image_embeddings(pixels), point_grid(max(per_side, 1)).to(model.device))
        found += _found_in(model, view, size, settings)
    return _distinct(found, settings.crops_nms_thresh)


def _found_in(
    model: Sam3TrackerModel, view: _View, size: tuple[int, int], settings: EverythingSettings
) -> list[FoundMask]:
    """What is found in one crop."""
    batches = torch.arange(len(view.points), device=view.points.device).split(settings.points_per_batch)
    some = [_candidates(_ask(model, view, batch), batch, view.crop, size, settings) for batch in batches]
    candidates = _Candidates(*(torch.cat(parts) for parts in zip(*some, strict=True)))
    keep = nms(candidates.boxes_xyxy_px, candidates.score, settings.box_nms_thresh)
    return list(_masks(model, view, candidates.part(keep), size, settings)) if len(keep) else []


def _ask(model: Sam3TrackerModel, view: _View, points: Int[Tensor, "K"]) -> Any:
    """What each of some points is on."""
    side = view.embeddings[-1].shape[-1] * model.vision_encoder.backbone.patch
    places = view.points[points][None, :, None] * side
    return model(image_embeddings=view.embeddings, input_points=places)


def _candidates(
    outputs: Any, points: Int[Tensor, "K"], crop: Crop, size: tuple[int, int], settings: EverythingSettings
) -> _Candidates:
    """The masks of a batch that are good, stable, and not cut by their crop."""
    logits, score = outputs.pred_masks[0].flatten(0, 1).float(), outputs.iou_scores[0].flatten().float()
    several = outputs.iou_scores.shape[2]
    place = torch.arange(len(score), device=score.device)
    held = stability(logits, 0.0, settings.stability_score_offset)
    keep = (score > settings.pred_iou_thresh) & (held > settings.stability_score_thresh)
    boxes = _boxes_in_image(_tidied(logits[keep], settings) > 0, crop)
    whole = ~near_crop_edge(boxes, crop.box, size) & (box_areas(boxes) > 0)
    place = place[keep][whole]
    return _Candidates(points[place // several], place % several, score[place], held[place], boxes[whole])


def _boxes_in_image(masks: Bool[Tensor, "K h w"], crop: Crop) -> Float[Tensor, "K 4"]:
    """Boxes of low-resolution masks in pixels of the image."""
    height, width = crop.size
    scale = torch.tensor([width / masks.shape[2], height / masks.shape[1]], device=masks.device)
    corner = torch.tensor(crop.box[:2], device=masks.device)
    return boxes_of_masks(masks).float() * scale.repeat(2) + corner.repeat(2)


def _tidied(logits: Float[Tensor, "K h w"], settings: EverythingSettings) -> Float[Tensor, "K h w"]:
    return tidy(logits, settings.max_hole_area, settings.max_sprinkle_area)


def _masks(
    model: Sam3TrackerModel, view: _View, chosen: _Candidates, size: tuple[int, int], settings: EverythingSettings
) -> Iterator[FoundMask]:
    """The chosen masks at the size of the image, one after the other."""
    x1, y1, _, _ = view.crop.box
    height, width = view.crop.size
    for places in torch.arange(len(chosen.point), device=chosen.point.device).split(settings.points_per_batch):
        some = chosen.part(places)
        logits = _ask(model, view, some.point).pred_masks[0]
        logits = _tidied(logits[torch.arange(len(logits), device=logits.device), some.which].float(), settings)
        for row, (x, y) in enumerate(view.points[some.point].tolist()):
            mask = placed(binarize_at(logits[row, None], view.crop.size, 0.0)[0], view.crop.box, size)
            yield FoundMask(
                rle=encode_rle(mask),
                box=tuple(boxes_of_masks(mask[None])[0].tolist()),
                score=float(some.score[row]),
                stability=float(some.stability[row]),
                point=(x1 + x * width, y1 + y * height),
                crop=view.crop.box,
            )


def _distinct(found: list[FoundMask], threshold: float) -> list[FoundMask]:
    """Of masks of the same thing, that of the smallest crop, which shows it largest; then best first."""
    if not found:
        return []
    boxes = torch.tensor([mask.box for mask in found], dtype=torch.float32)
    crops = box_areas(torch.tensor([mask.crop for mask in found], dtype=torch.float32))
    kept = [found[place] for place in nms(boxes, 1 / crops, threshold).tolist()]
    return sorted(kept, key=lambda mask: -mask.score)
