"""Masks of COCO annotations: polygons and run-length codes become pixels.

segmentation, box -> mask [H, W]; a mask without pixels becomes that of its box
"""

from typing import Any

import numpy as np
from jaxtyping import Bool

from sam3_hf.datasets.coco_files import CocoAnnotation
from sam3_hf.extras import needed
from sam3_hf.ops.masks import decode_rle


def mask_of(annotation: CocoAnnotation, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """The pixels of an annotated object in an image of `size`.

    Raises:
        ValueError: A run-length code of another size, or one that is damaged.
    """
    given = annotation.segmentation
    mask = _of_code(given, size) if isinstance(given, dict) else _of_polygons(given, size)
    return mask if mask.any() else _of_box(annotation.box_xywh_px, size)


def _of_code(code: dict[str, Any], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    if list(code["size"]) != list(size):
        raise ValueError(f"the mask has the size (height, width) {code['size']}, but the image {list(size)}")
    return decode_rle(code).numpy() if code["counts"] else np.zeros(size, dtype=bool)


def _of_polygons(polygons: list[list[float]], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """Parts of one object together, filled as COCO's own tools do it."""
    coco = needed("pycocotools.mask", "train")
    return decode_rle(coco.merge(coco.frPyObjects(polygons, *size))).numpy()


def _of_box(box_xywh_px: tuple[float, float, float, float], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    x, y, width, height = box_xywh_px
    mask = np.zeros(size, dtype=bool)
    mask[_span(y, height, size[0]), _span(x, width, size[1])] = True
    return mask


def _span(start: float, length: float, side: int) -> slice:
    """Pixels whose centres lie in it."""
    return slice(max(round(start), 0), min(max(round(start + length), 0), side))
