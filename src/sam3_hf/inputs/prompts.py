"""Prompts as rows: every row is one text, with or without boxes, about one image.

text:   "cat" | ["cat", None] | [["cat", "dog"], ["ear"]]           one for all | one per row | per image, per row
boxes:  [[box, box], None]    | [[None, [box]], [[box, box]]]                     | per row | per image, per row
     -> Rows(texts, boxes, labels, images)
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

# What the original asks for where boxes alone say what to look for.
BOXES_ONLY = "visual"


class Rows(NamedTuple):
    """What was asked; a list has one entry per row, and is absent where nothing of its kind was given."""

    texts: list[str] | None
    boxes: list[Any] | None
    labels: list[Any] | None
    images: list[int] | None


def lay_out(text: Any, boxes: Any, labels: Any, image_count: int | None, image_index: Any = None) -> Rows:
    """Bring every form of prompts to rows.

    Args:
        text: A string for all rows, a list of strings per row, or a list of such lists per image; `None` where only
            boxes ask.
        boxes: Per row a list of boxes or `None`; one level deeper where prompts are grouped by image, with `None` for
            an image without boxes. Arrays and tensors too.
        labels: One per box, nested alike.
        image_count: Number of images, `None` if unknown.
        image_index: The image of each row. By default row i is about image i, and one image is what all rows are about.

    Raises:
        ValueError: Counts or nesting that do not match, a row that asks for nothing, or a text that is no string.
    """
    text, boxes, labels, image_index = (as_lists(values) for values in (text, boxes, labels, image_index))
    if labels is not None and boxes is None:
        raise ValueError("Got input_boxes_labels without input_boxes.")
    if _is_grouped(text) or _depth(boxes) == 4:
        if image_index is not None:
            raise ValueError("Prompts grouped by image say which image they are about; leave image_index out.")
        text, boxes, labels, image_index = _ungroup(text, boxes, labels, image_count)
    rows = _count_rows(text=text, input_boxes=boxes, input_boxes_labels=labels, image_index=image_index)
    if rows is None:
        return Rows(None if text is None else [_checked(text)], None, None, None)
    images = _images_of(rows, image_count) if image_index is None else _check_index(image_index, image_count)
    texts = _texts_of(text if isinstance(text, list) else [text] * rows, boxes)
    return Rows(texts, boxes, labels, images)


def as_lists(values: Any) -> Any:
    """Arrays, tensors and tuples at any level as lists; anything else stays."""
    if isinstance(values, (np.ndarray, np.generic, Tensor)):
        return values.tolist()
    return [as_lists(value) for value in values] if isinstance(values, (list, tuple)) else values


def _depth(values: Any) -> int:
    """Levels of lists; `None` counts for nothing."""
    return 1 + max(map(_depth, values), default=0) if isinstance(values, list) else 0


def _is_grouped(values: Any) -> bool:
    return isinstance(values, list) and any(isinstance(value, list) for value in values)


def _ungroup(text: Any, boxes: Any, labels: Any, image_count: int | None) -> tuple[Any, Any, Any, list[int]]:
    """Prompts of all images in one list each, and the image of each."""
    grouped = {"text": text, "input_boxes": boxes, "input_boxes_labels": labels}
    grouped = {name: values for name, values in grouped.items() if values is not None and not isinstance(values, str)}
    leading, leader = next(iter(grouped.items()))
    if not all(isinstance(group, list) for group in leader):
        raise ValueError(f"Some prompts are grouped by image, so {leading} needs one list per image; got {leader!r}.")
    counts = [len(group) for group in leader]
    if image_count not in (None, len(counts)):
        raise ValueError(f"Got prompts for {len(counts)} images, but {image_count} images.")
    flat = {name: _ungroup_like(counts, name, groups) for name, groups in grouped.items()}
    images = [image for image, count in enumerate(counts) for _ in range(count)]
    return flat.get("text", text), flat.get("input_boxes"), flat.get("input_boxes_labels"), images


def _ungroup_like(counts: list[int], name: str, groups: Any) -> list[Any]:
    """All prompts of one argument; an image without any has `None` for each."""
    if isinstance(groups, list) and len(groups) == len(counts):
        full = [[None] * count if group is None else group for group, count in zip(groups, counts, strict=True)]
        if all(isinstance(group, list) and len(group) == n for group, n in zip(full, counts, strict=True)):
            return [prompt for group in full for prompt in group]
    raise ValueError(
        f"Prompts are grouped by image, {counts} of them, so {name} needs lists of as many; got {groups!r}."
    )


def _count_rows(**given: Any) -> int | None:
    """How many rows the lists among the arguments have, which must agree; `None` without a list."""
    for name, values in given.items():
        if values is not None and not isinstance(values, list) and name != "text":
            raise ValueError(f"{name} is a list, an array or a tensor with one entry per prompt; got {values!r}.")
    counts = {name: len(values) for name, values in given.items() if isinstance(values, list)}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        raise ValueError(f"Each prompt needs one entry in every argument; got {counts}.")
    return next(iter(counts.values()), None)


def _images_of(rows: int, image_count: int | None) -> list[int]:
    if image_count not in (None, 1, rows):
        raise ValueError(
            f"Got {rows} prompt(s) for {image_count} images; pass one per image, group them by image as in "
            '[["cat", "dog"], ["ear"]], or pass image_index.'
        )
    return [0] * rows if image_count == 1 else list(range(rows))


def _check_index(image_index: list[Any], image_count: int | None) -> list[int]:
    for image in image_index:
        is_whole = isinstance(image, int) and not isinstance(image, bool)
        if not is_whole or image < 0 or (image_count is not None and image >= image_count):
            raise ValueError(
                f"image_index holds whole numbers from 0 to below {image_count or 'the image count'}; got {image!r}."
            )
    return image_index


def _texts_of(texts: Sequence[Any], boxes: list[Any] | None) -> list[str]:
    """Each row's text; rows that have only boxes get the original's word for it."""
    has_box = [bool(row) for row in boxes] if boxes is not None else [False] * len(texts)
    empty = [row for row, (text, boxed) in enumerate(zip(texts, has_box, strict=True)) if text is None and not boxed]
    if empty:
        raise ValueError(f"A prompt needs a text or a box; prompt(s) {empty} have neither.")
    return [BOXES_ONLY if text is None else _checked(text) for text in texts]


def _checked(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError(f"A text is a string, or None where only boxes ask; got {text!r}.")
    return text
