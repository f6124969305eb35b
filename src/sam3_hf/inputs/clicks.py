"""Prompts on objects: ragged lists of points, labels and boxes in pixels become padded tensors.

points [image][object][point][x, y] -> [B, O, N, 2]; labels [image][object][point] -> [B, O, N]
boxes  [image][object][x1, y1, x2, y2] -> [B, O, 4]
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from sam3_hf.inputs.prompts import as_lists

LABELS = {1: "on the object", 0: "not on it", 2: "first corner of a box", 3: "second corner", -1: "no point"}
_NO_POINT = -1


class _Kind(NamedTuple):
    """How an argument is nested."""

    name: str
    levels: tuple[str, ...]
    length: int
    example: str


_POINTS = _Kind("input_points", ("images", "objects", "points", "x and y"), 2, "[[[[450, 600]]]]")
_LABELS = _Kind("input_labels", ("images", "objects", "labels"), 0, "[[[1]]]")
_BOXES = _Kind("input_boxes", ("images", "objects", "x1, y1, x2, y2"), 4, "[[[100, 80, 300, 240]]]")


class ObjectInputs(NamedTuple):
    """Prompts in pixels of the model's input; what was not given is absent."""

    points: Float32[Tensor, "B O N 2"] | None
    labels: Int64[Tensor, "B O N"] | None
    boxes: Float32[Tensor, "B O 4"] | None


def read_object_prompts(
    points: Any, labels: Any, boxes: Any, sizes: list[tuple[int, int]], side: int, pad: int
) -> ObjectInputs:
    """Read, check, pad and scale.

    Args:
        points: Nested lists, arrays or tensors; `None` for an image or object without points.
        labels: Nested alike, one per point; all 1 if not given.
        boxes: Likewise; `None` for an image or object without box.
        sizes: Height and width of each image in pixels.
        side: Side of the model's square input in pixels.
        pad: Fills what is missing; a point or box of nothing but `pad` is padding.

    Raises:
        ValueError: Wrong nesting, counts that do not match, points outside of their image, labels without points, or
            boxes whose corners are out of order.
    """
    if labels is not None and points is None:
        raise ValueError("Got input_labels without input_points; a label says something about a point.")
    all_points, all_labels = _levels(_POINTS, points, sizes), _levels(_LABELS, labels, sizes)
    all_boxes = _levels(_BOXES, boxes, sizes)
    _check_counts(all_points, all_labels, all_boxes)
    scales = torch.tensor([[side / width, side / height] for height, width in sizes], dtype=torch.float64)
    read = ObjectInputs(None, None, None)
    if all_points is not None:
        marks = _marks(all_points, all_labels, pad)
        _check_points(all_points, marks, sizes)
        pixels, flags = _padded(all_points, 3, 2, pad), _padded(marks, 3, 1, pad)
        read = read._replace(points=_scaled(pixels, scales[:, None, None], pad), labels=flags[..., 0].long())
    if all_boxes is not None:
        _check_boxes(all_boxes, pad)
        read = read._replace(boxes=_scaled(_padded(all_boxes, 2, 4, pad), scales.repeat(1, 2)[:, None], pad))
    return read


def _levels(kind: _Kind, values: Any, sizes: list[tuple[int, int]]) -> list[list[Any]] | None:
    """The argument as lists, once every level has been found to be what it should be."""
    if values is None:
        return None
    lists = as_lists(values)
    problem = _problem(kind, lists, 0)
    if problem or not isinstance(lists, list):
        raise ValueError(
            f"{kind.name} has {len(kind.levels)} levels, {' > '.join(kind.levels)}, as in {kind.example}; "
            f"got {problem} in {_shown(lists)}."
        )
    if len(lists) != len(sizes):
        raise ValueError(f"{kind.name} needs one entry per image: {len(sizes)}; got {len(lists)} in {_shown(lists)}.")
    return [image or [] for image in lists]


def _problem(kind: _Kind, value: Any, level: int) -> str:
    """What is wrong with the nesting, in words; empty if nothing is."""
    last = level == len(kind.levels) - 1
    if not isinstance(value, list):
        optional = value is None and 0 < level < len(kind.levels) - (kind.length == 2)
        return "" if optional else f"{_shown(value)} where a list of {kind.levels[level]} belongs"
    if not last:
        return next((problem for entry in value if (problem := _problem(kind, entry, level + 1))), "")
    if not all(isinstance(entry, (int, float)) and not isinstance(entry, bool) for entry in value):
        return f"{_shown(value)} where {kind.levels[level]} belong"
    return f"{len(value)} numbers where {kind.levels[level]} belong" if kind.length not in (0, len(value)) else ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _check_counts(points: Any, labels: Any, boxes: Any) -> None:
    for image in range(len(points or boxes or [])):
        if points is not None and boxes is not None and len(points[image]) != len(boxes[image]):
            raise ValueError(
                f"Image {image} has points for {len(points[image])} object(s) and boxes for {len(boxes[image])}; each "
                "object takes a list of points and a box, None where it has none."
            )
        counts = [[len(each or []) for each in given[image]] for given in (points, labels) if given is not None]
        if len(counts) == 2 and counts[0] != counts[1]:
            raise ValueError(
                f"Each point needs one label; image {image} has {counts[0]} points and {counts[1]} labels, by object."
            )


def _marks(points: list[Any], labels: list[Any] | None, pad: int) -> list[Any]:
    """The label of every point, in a list of its own so that it pads like points."""
    if labels is None:
        return [[[[pad if point == [pad, pad] else 1] for point in each or []] for each in image] for image in points]
    allowed = {*LABELS, pad}
    for label in (label for image in labels for each in image for label in each or []):
        if label not in allowed:
            meanings = ", ".join(f"{number} ({meaning})" for number, meaning in LABELS.items())
            raise ValueError(f"A label is one of {meanings}, {pad} (padding); got {label}.")
    return [[[[label] for label in each or []] for each in image] for image in labels]


def _check_points(points: list[Any], marks: list[Any], sizes: list[tuple[int, int]]) -> None:
    for image, size in enumerate(sizes):
        for each, flags in zip(points[image], marks[image], strict=True):
            for point, (flag,) in zip(each or [], flags, strict=True):
                _check_point(point, flag, image, size)


def _check_point(point: list[float], flag: int, image: int, size: tuple[int, int]) -> None:
    (x, y), (height, width) = point, size
    if flag >= 0 and not (0 <= x <= width and 0 <= y <= height):
        raise ValueError(
            f"Point ({x}, {y}) lies outside of image {image}, which is {width} wide and {height} high; points are x, y "
            "in pixels of the image as it was passed."
        )
    if flag < _NO_POINT and point != [flag, flag]:
        raise ValueError(f"Point ({x}, {y}) has the label of padding; pad points with {flag}, {flag}.")


def _check_boxes(boxes: list[Any], pad: int) -> None:
    for box in (box for image in boxes for box in image if box is not None and box != [pad] * 4):
        x1, y1, x2, y2 = box
        if not (x1 <= x2 and y1 <= y2 and all(abs(edge) < float("inf") for edge in box)):
            raise ValueError(f"A box is x1, y1, x2, y2 in pixels, finite, with x1 <= x2 and y1 <= y2; got {box}.")


def _padded(values: list[Any], levels: int, length: int, pad: int) -> Tensor:
    """Nested lists, with so many numbers below so many levels, as one tensor filled up with `pad` (float64)."""
    out = torch.full([*_largest(values, levels), length], float(pad), dtype=torch.float64)
    _fill(out, values)
    return out


def _largest(values: list[Any], levels: int) -> list[int]:
    """The longest list on each level."""
    shape, layer = [], [values]
    for _ in range(levels):
        shape.append(max((len(entry) for entry in layer), default=0))
        layer = [inner for entry in layer for inner in entry if isinstance(inner, list)]
    return shape


def _fill(out: Tensor, values: Any) -> None:
    for place, value in enumerate(values):
        if isinstance(value, list):
            _fill(out[place], value)
        elif value is not None:
            out[place] = value


def _scaled(values: Tensor, scales: Tensor, pad: int) -> Float32[Tensor, "..."]:
    """Pixels of each image to pixels of the model's input; padding stays."""
    padding = (values == pad).all(-1, keepdim=True)
    return torch.where(padding, values, values * scales).float()
