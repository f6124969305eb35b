"""Files of SA-Co/Gold and SA-Co/Silver: annotations, and predictions in the published form.

ground truth file -> GroundTruth
prediction file   -> Detections by the id of their datapoint
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sam3_hf.evaluation.datapoints import Datapoint, Detections, GroundTruth, IouType, Objects, check_iou_type
from sam3_hf.evaluation.reading import Entry, entries_of, read_json


def read_ground_truth(path: str | Path, iou_type: IouType = "segm") -> GroundTruth:
    """One annotator's file; `iou_type` says what is read of the objects, masks or boxes.

    Raises:
        ValueError: A file that cannot be read, or an entry that is not as it should be.
    """
    return ground_truth_of(read_json(path), iou_type, str(path))


def ground_truth_of(content: Any, iou_type: IouType = "segm", name: str = "ground truth") -> GroundTruth:
    """The content of one annotator's file; `name` is told in errors."""
    check_iou_type(iou_type)
    if not isinstance(content, Mapping):
        raise ValueError(f"{name} must hold images, annotations and categories, got {type(content).__name__}.")
    file = Entry(content, name)
    images = by_id(file.entries("images"))
    annotated = defaultdict(list)
    for annotation in file.entries("annotations"):
        if annotation.integer("image_id") not in images:
            raise annotation.wrong("image_id", "the id of one of the images")
        if not annotation.flag("iscrowd", default=False):
            annotated[annotation.integer("image_id")].append(annotation)
    categories = frozenset(category.integer("id") for category in file.entries("categories"))
    datapoints = {id: _datapoint(id, image, annotated[id], iou_type) for id, image in images.items()}
    return GroundTruth(datapoints, categories, name)


def read_predictions(path: str | Path, iou_type: IouType = "segm") -> dict[int, Detections]:
    """Detections by the id of their datapoint; `iou_type` says what is read of them, masks or boxes.

    Raises:
        ValueError: A file that cannot be read, or an entry that is not as it should be.
    """
    return predictions_of(read_json(path), iou_type, str(path))


def predictions_of(content: Any, iou_type: IouType = "segm", name: str = "predictions") -> dict[int, Detections]:
    """The content of a prediction file: a list of detections; `name` is told in errors."""
    check_iou_type(iou_type)
    found = defaultdict(list)
    for entry in entries_of(content, name):
        found[entry.integer("image_id")].append(entry)
    return {id: _detections(entries, iou_type) for id, entries in found.items()}


def by_id(entries: Iterable[Entry]) -> dict[int, Entry]:
    """Entries by their id.

    Raises:
        ValueError: Two have the same.
    """
    found: dict[int, Entry] = {}
    for entry in entries:
        id = entry.integer("id")
        if id in found:
            raise ValueError(f"{entry.place}.id must be unique, but {found[id].place} has {id} too.")
        found[id] = entry
    return found


def size_of(image: Entry) -> tuple[int, int]:
    """(height, width) of an image."""
    for side in ("height", "width"):
        if image.integer(side) < 1:
            raise image.wrong(side, "a number of pixels")
    return image.integer("height"), image.integer("width")


def _datapoint(id: int, image: Entry, annotations: list[Entry], iou_type: IouType) -> Datapoint:
    size = size_of(image)
    return Datapoint(
        id,
        Objects(_boxes(annotations), None)
        if iou_type == "bbox"
        else Objects(None, [annotation.mask(size) for annotation in annotations]),
        image.flag("is_instance_exhaustive"),
        size,
        image.text("text_input") if "text_input" in image.values else None,
        image.text("file_name") if "file_name" in image.values else "",
    )


def _detections(entries: list[Entry], iou_type: IouType) -> Detections:
    return Detections(
        Objects(_boxes(entries), None) if iou_type == "bbox" else Objects(None, [_mask(entry) for entry in entries]),
        np.array([entry.number("score") for entry in entries]),
        np.array([entry.integer("category_id") for entry in entries]),
    )


def _mask(entry: Entry) -> dict[str, Any]:
    """A mask of any size: which is right shows when it is compared."""
    value = entry.values.get("segmentation")
    size = value.get("size") if isinstance(value, dict) else None
    return entry.mask(tuple(size) if isinstance(size, list) else (0, 0))


def _boxes(entries: list[Entry]) -> np.ndarray:
    return np.array([entry.box() for entry in entries], np.float64).reshape(-1, 4)
