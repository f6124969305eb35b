"""Labels: what a prompt's loss is measured against.

objects of a prompt, in pixels of the image -> boxes [n, 4] relative to the image, masks [n, H, W] at one size
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from sam3_hf.datasets.examples import PromptExample
from sam3_hf.ops.boxes import scale_boxes, to_cxcywh

# Objects that cover less of the image than this teach nothing, as in the original's transforms.
_SMALLEST = 1e-6


def label_of(prompt: PromptExample, size: tuple[int, int], mask_size: tuple[int, int] | None) -> dict[str, Tensor]:
    """Labels of one prompt row.

    Args:
        prompt: The prompt and its objects.
        size: (height, width) of its image.
        mask_size: (height, width) of the masks; `None` for boxes alone.
    """
    boxes_xyxy_px = torch.from_numpy(np.asarray(prompt.boxes_xyxy_px, dtype=np.float64)).reshape(-1, 4)
    boxes_cxcywh = to_cxcywh(scale_boxes(boxes_xyxy_px, (1 / size[0], 1 / size[1])))
    keep = boxes_cxcywh[:, 2:].clamp(min=0).prod(-1) >= _SMALLEST
    label = {"boxes": boxes_cxcywh[keep].float()}
    if mask_size is not None:
        label["masks"], label["mask_valid"] = _masks(prompt, keep, mask_size)
    return label


def _masks(
    prompt: PromptExample, keep: Bool[Tensor, "n"], size: tuple[int, int]
) -> tuple[Bool[Tensor, "k H W"], Bool[Tensor, "k"]]:
    """Masks of the objects kept, and which of them are real."""
    if prompt.masks is None:
        return torch.zeros(int(keep.sum()), *size, dtype=torch.bool), torch.zeros(int(keep.sum()), dtype=torch.bool)
    masks = resize_masks(torch.from_numpy(prompt.masks)[keep], size)
    valid = keep.clone() if prompt.mask_valid is None else torch.from_numpy(prompt.mask_valid)
    return masks, valid[keep]


def resize_masks(masks: Bool[Tensor, "n H W"], size: tuple[int, int]) -> Bool[Tensor, "n h w"]:
    """Masks at another size; a pixel is inside if at least half of what it stands for is."""
    if tuple(masks.shape[1:]) == size or not len(masks):
        return masks if len(masks) else masks.new_zeros(0, *size)
    bytes_ = (masks.to(torch.uint8) * 255)[:, None]
    return F.interpolate(bytes_, size, mode="bilinear", antialias=True)[:, 0] > 127


def boxes_of_examples(prompt: PromptExample) -> tuple[list[list[float]], list[int]]:
    """Example boxes and their labels, as the processor takes them."""
    boxes: Float[np.ndarray, "k 4"] = prompt.example_boxes_xyxy_px
    return boxes.tolist(), prompt.example_labels.tolist()
