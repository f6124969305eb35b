"""What the image processor does for masks of single objects: bring them to the image, and find everything in it.

pred_masks, one [O, M, h, w] per image -> tidied, resized -> masks [O, M, H, W]
image -> crops and points -> model -> masks filtered, freed of duplicates (transformers' mask-generation pipeline)
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sam3_hf.inputs.crops import crops_of, near_crop_edge, point_grid
from sam3_hf.inputs.images import read_image
from sam3_hf.inputs.sizes import read_size, read_sizes
from sam3_hf.ops.components import tidy
from sam3_hf.ops.masks import binarize_at, boxes_of_masks, decode_rle, encode_rle, resize_logits
from sam3_hf.ops.nms import nms
from sam3_hf.ops.stability import stability

# The original's predictor fills holes of at most so many pixels of its low-resolution masks.
MAX_HOLE_AREA = 256
# What a pixel that belongs to another object is held at, where objects must not overlap.
_SUPPRESSED = -10.0


class ObjectMaskProcessing:
    """Methods of the image processor that `Sam3TrackerProcessor` and the mask-generation pipeline call."""

    def post_process_masks(  # noqa: PLR0913, PLR0917 (public signature)
        self,
        masks: Any,
        original_sizes: Any,
        mask_threshold: float = 0.0,
        binarize: bool = True,
        max_hole_area: float | None = None,
        max_sprinkle_area: float = 0.0,
        apply_non_overlapping_constraints: bool = False,
        reshaped_input_sizes: Any = None,
    ) -> list[Tensor]:
        """Masks at the size of their images.

        Args:
            masks: `pred_masks`, or one tensor or array of logits (..., height, width) per image.
            original_sizes: `(height, width)` of each image.
            mask_threshold: Logit above which a pixel belongs to the object.
            binarize: Return bool masks; otherwise logits.
            max_hole_area: Holes of at most so many pixels of the masks as given are filled. By default those of up to
                256 pixels, as in the original's predictor; none where logits are returned.
            max_sprinkle_area: Specks of at most so many pixels of the masks as given are removed.
            apply_non_overlapping_constraints: Give each pixel to the object with the highest logit there.
            reshaped_input_sizes: Ignored; other models' processors need it.

        Raises:
            ValueError: Not one size per image.
        """
        sizes = read_sizes(original_sizes, "original_sizes")
        if len(sizes) != len(masks):
            raise ValueError(f"Got masks of {len(masks)} images and {len(sizes)} original_sizes; pass one per image.")
        hole_area = (MAX_HOLE_AREA if binarize else 0) if max_hole_area is None else max_hole_area
        finished = []
        for logits, size in zip(masks, sizes, strict=True):
            logits = torch.as_tensor(logits)
            flat = tidy(logits.flatten(0, -3).float(), hole_area, max_sprinkle_area, mask_threshold)
            if apply_non_overlapping_constraints:
                flat = _apart(resize_logits(flat, size).view(*logits.shape[:-2], *size)).flatten(0, -3)
            flat = binarize_at(flat, size, mask_threshold) if binarize else resize_logits(flat, size)
            finished.append(flat.view(*logits.shape[:-2], *size))
        return finished

    def generate_crop_boxes(
        self,
        image: Any,
        target_size: int,
        crop_n_layers: int = 0,
        overlap_ratio: float = 512 / 1500,
        points_per_crop: int = 32,
        crop_n_points_downscale_factor: int = 1,
        device: Any = None,
    ) -> tuple[Float[Tensor, "c 4"], Float[Tensor, "1 N c 2"], list[Tensor], Tensor]:
        """Crops of an image and a grid of points in each; see `sam3_hf.inputs.crops`.

        Args:
            image: What `preprocess` takes.
            target_size: Side of the model's input in pixels.
            crop_n_layers: Layers of crops beside the image itself.
            overlap_ratio: Overlap of neighbouring crops, as a share of the image's shorter side.
            points_per_crop: Points along each side of the image.
            crop_n_points_downscale_factor: How many times fewer points each further layer has along a side; with
                layers, all must come out alike.
            device: Where boxes, points and labels are wanted.

        Returns:
            Crops in pixels; points in pixels of the model's input; the cropped images; the points' labels, all 1.
        """
        picture = read_image(image, None, convert_rgb=True)
        crops = crops_of((picture.shape[1], picture.shape[2]), crop_n_layers, overlap_ratio)
        grids = [point_grid(int(points_per_crop / crop_n_points_downscale_factor**crop.layer)) for crop in crops]
        if len({len(grid) for grid in grids}) > 1:
            raise ValueError(
                "The pipeline needs as many points in every crop; leave crop_n_points_downscale_factor at 1, or use "
                "sam3_hf.pipelines.everything."
            )
        # The image becomes a square, so that a share of its side is that share of the input's.
        points = torch.stack(grids, dim=1)[None] * target_size
        cut = [picture[:, y1:y2, x1:x2] for (x1, y1, x2, y2), _ in crops]
        boxes = torch.tensor([crop.box for crop in crops], dtype=torch.float32, device=device)
        return boxes, points.to(device), cut, torch.ones(points.shape[:-1], dtype=torch.long, device=device)

    def filter_masks(  # noqa: PLR0913, PLR0917 (public signature)
        self,
        masks: Float[Tensor, "O M H W"],
        iou_scores: Float[Tensor, "O M"],
        original_size: Any,
        cropped_box_image: Any,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        mask_threshold: float = 0.0,
        stability_score_offset: float = 1.0,
    ) -> tuple[list[dict[str, Any]], Float[Tensor, "K"], Float[Tensor, "K 4"]]:
        """Keep masks that are good, stable and not cut by their crop.

        Args:
            masks: Logits at the size of the crop.
            iou_scores: Quality expected of each.
            original_size: `(height, width)` of the image.
            cropped_box_image: The crop, x1, y1, x2, y2 in pixels.
            pred_iou_thresh: Quality that must be exceeded.
            stability_score_thresh: Stability that must be exceeded.
            mask_threshold: Logit above which a pixel belongs to the object.
            stability_score_offset: How far the threshold is moved to measure stability.

        Returns:
            COCO run-length codes at the size of the image, scores, and boxes in pixels of the image.
        """
        flat, scores = masks.flatten(0, 1), iou_scores.flatten().to(masks.device)
        steady = stability(flat, mask_threshold, stability_score_offset)
        keep = (scores > pred_iou_thresh) & (steady > stability_score_thresh)
        binary, scores = flat[keep] > mask_threshold, scores[keep]
        height, width = read_size(original_size, "original_size")
        crop = tuple(int(edge) for edge in cropped_box_image)
        boxes = boxes_of_masks(binary).float() + binary.new_tensor([*crop[:2], *crop[:2]], dtype=torch.float32)
        whole = ~near_crop_edge(boxes, crop, (height, width))
        codes = [encode_rle(placed(mask, crop, (height, width))) for mask in binary[whole]]
        return codes, scores[whole], boxes[whole]

    def post_process_for_mask_generation(
        self, all_masks: list[dict[str, Any]], all_scores: Tensor, all_boxes: Tensor, crops_nms_thresh: float
    ) -> tuple[list[Tensor], Tensor, list[dict[str, Any]], Tensor]:
        """Keep the best of masks whose boxes overlap by more than `crops_nms_thresh`.

        Returns:
            Bool masks at the size of the image, their scores, COCO run-length codes, and boxes; best first.
        """
        keep = nms(all_boxes.float(), all_scores.float(), crops_nms_thresh)
        codes = [all_masks[place] for place in keep.tolist()]
        return [decode_rle(code) for code in codes], all_scores[keep], codes, all_boxes[keep]


def placed(mask: Bool[Tensor, "h w"], crop: tuple[int, ...], size: tuple[int, int]) -> Bool[Tensor, "H W"]:
    """A mask of a crop as a mask of the image of `size`."""
    x1, y1, x2, y2 = crop
    whole = mask.new_zeros(size)
    whole[y1:y2, x1:x2] = mask
    return whole


def _apart(logits: Float[Tensor, "O *M H W"]) -> Float[Tensor, "O *M H W"]:
    """Each pixel is left to the first object with the highest logit there."""
    winner = torch.zeros_like(logits, dtype=torch.bool).scatter_(0, logits.argmax(0, keepdim=True), True)
    return torch.where(winner, logits, logits.clamp(max=_SUPPRESSED))
