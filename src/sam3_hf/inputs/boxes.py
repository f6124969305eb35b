"""Box prompts: ragged lists of boxes in pixels become one padded tensor, relative to each row's image.

rows of (x1, y1, x2, y2) in pixels -> input_boxes [P, N, 4], centre and size in 0..1 -> input_boxes_labels [P, N]
"""

from typing import Any

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from sam3_hf.ops.boxes import scale_boxes, to_cxcywh

POSITIVE, NEGATIVE = 1, 0


def pad_boxes(
    rows: list[Any], labels: list[Any] | None, sizes: list[tuple[int, int]], pad: int
) -> tuple[Float32[Tensor, "P N 4"], Int64[Tensor, "P N"]]:
    """Boxes relative to their images, real ones first, and their labels; `pad` fills the rest of both.

    Args:
        rows: Per row a list of boxes in pixels, or `None`. A box of nothing but `pad` is padding.
        labels: Per row one label per box, or `None`: 1 such objects, 0 not such objects, `pad` ignores the box.
        sizes: Height and width of each row's image in pixels.
        pad: The padding value.

    Raises:
        ValueError: Wrong nesting, not finite, a right or bottom edge before its left or top one, other labels, or not
            one label per box.
    """
    boxes = [_read_boxes(row) for row in rows]
    marks = [_read_labels(row, box, pad) for row, box in zip(labels or [None] * len(rows), boxes, strict=True)]
    width = max(map(len, boxes))
    padded_boxes = torch.full((len(rows), width, 4), float(pad))
    padded_labels = torch.full((len(rows), width), pad)
    for row, (boxes_xyxy_px, mark, (height, image_width)) in enumerate(zip(boxes, marks, sizes, strict=True)):
        real = mark != pad
        _check(boxes_xyxy_px[real])
        boxes_xyxy = scale_boxes(boxes_xyxy_px[real], (1 / height, 1 / image_width))
        padded_boxes[row, : len(boxes_xyxy)] = to_cxcywh(boxes_xyxy).float()
        padded_labels[row, : len(boxes_xyxy)] = mark[real]
    return padded_boxes, padded_labels


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _read_boxes(row: Any) -> Float[Tensor, "N 4"]:
    boxes = [] if row is None else row
    if not isinstance(boxes, list) or not all(
        isinstance(b, list) and len(b) == 4 and all(map(_is_number, b)) for b in boxes
    ):
        raise ValueError(
            "input_boxes has 3 levels: prompts, boxes of a prompt (or None), and x1, y1, x2, y2 of a box; where "
            f"prompts are grouped by image, images come first, as a 4th. Got this as the boxes of one prompt: {row!r}."
        )
    return torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)


def _read_labels(row: Any, boxes: Float[Tensor, "N 4"], pad: int) -> Int64[Tensor, "N"]:
    padding = (boxes == pad).all(dim=-1)
    if row is None:
        return torch.where(padding, pad, POSITIVE)
    if not isinstance(row, list) or len(row) != len(boxes):
        raise ValueError(f"Each box needs one label; got labels {row!r} for {len(boxes)} box(es) of a prompt.")
    if not all(_is_number(label) and label in (POSITIVE, NEGATIVE, pad) for label in row):
        raise ValueError(f"A label is 1 (such objects), 0 (not such objects) or {pad} (padding); got {row!r}.")
    labels = torch.tensor(row, dtype=torch.long).reshape(-1)
    if (padding & (labels != pad)).any():
        raise ValueError(f"A box of nothing but {pad} is padding and needs the label {pad}; got {row!r}.")
    return labels


def _check(boxes_xyxy_px: Float[Tensor, "N 4"]) -> None:
    sides = boxes_xyxy_px[:, 2:] - boxes_xyxy_px[:, :2]
    if not boxes_xyxy_px.isfinite().all() or (sides < 0).any():
        raise ValueError(
            f"A box is x1, y1, x2, y2 in pixels, finite, with x1 <= x2 and y1 <= y2; got {boxes_xyxy_px.tolist()}."
        )
