"""COCO's average precision, computed by pycocotools.

annotations, detections as COCO's files hold them -> AP, AP_50, ..., AR_...; AP+ from detections of what is there alone
"""

from collections.abc import Container, Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from sam3_hf.evaluation.datapoints import IouType, check_iou_type
from sam3_hf.evaluation.reading import Entry, entries_of, read_json
from sam3_hf.evaluation.saco import by_id, size_of
from sam3_hf.extras import needed

_NAMES = (
    *("AP", "AP_50", "AP_75", "AP_small", "AP_medium", "AP_large"),
    *("AR_maxDets@1", "AR_maxDets@10", "AR_maxDets@100", "AR_small", "AR_medium", "AR_large"),
)


def coco_average_precision(
    predictions: list[dict[str, Any]],
    ground_truth: Mapping[str, Any],
    iou_type: IouType = "bbox",
    *,
    positive_split: bool = False,
    only: Container[int] | None = None,
) -> dict[str, float]:
    """`AP` and the others of COCO's twelve numbers as fractions; -1 where nothing was there to be measured.

    Args:
        predictions: Detections with `image_id`, `category_id`, `score`, and `bbox` in pixels or `segmentation`.
        ground_truth: Content of an annotation file: `images`, `annotations`, `categories`.
        iou_type: "bbox" compares boxes, "segm" masks.
        positive_split: AP+ instead: detections count only in images that hold an object of their category.
        only: Ids of the images to evaluate; all if not given.

    Raises:
        ValueError: An entry that is not as it should be.
    """
    check_iou_type(iou_type)
    content = check_annotations(ground_truth, iou_type)
    found = check_detections(predictions, content, iou_type)
    if positive_split:
        present = {(annotation["image_id"], annotation["category_id"]) for annotation in content["annotations"]}
        found = [entry for entry in found if (entry["image_id"], entry["category_id"]) in present]
    images = [image["id"] for image in content["images"] if only is None or image["id"] in only]
    with redirect_stdout(StringIO()):
        return _evaluate(content, found, iou_type, images)


def read_coco(path: str | Path, iou_type: IouType = "bbox") -> dict[str, Any]:
    """The checked content of an annotation file.

    Raises:
        ValueError: It cannot be read, or an entry is not as it should be.
    """
    return check_annotations(read_json(path), iou_type, str(path))


def check_annotations(content: Any, iou_type: IouType, name: str = "ground truth") -> dict[str, Any]:
    """What the metric reads of an annotation file, with annotations numbered from 1, as pycocotools needs them."""
    if not isinstance(content, Mapping):
        raise ValueError(f"{name} must hold images, annotations and categories, got {type(content).__name__}.")
    file = Entry(content, name)
    images, categories = by_id(file.entries("images")), by_id(file.entries("categories"))
    annotations = []
    for number, entry in enumerate(file.entries("annotations"), start=1):
        for key, known in (("image_id", images), ("category_id", categories)):
            if entry.integer(key) not in known:
                raise entry.wrong(key, f"the id of one of the {'images' if known is images else 'categories'}")
        annotations.append(_annotation(number, entry, images[entry.values["image_id"]], iou_type))
    return {
        "images": [dict(entry.values) for entry in images.values()],
        "annotations": annotations,
        "categories": [dict(entry.values) for entry in categories.values()],
    }


def check_detections(
    predictions: Any, content: Mapping[str, Any], iou_type: IouType, name: str = "predictions"
) -> list[dict[str, Any]]:
    """What the metric reads of detections: those of categories that are known."""
    images = {image["id"]: image for image in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    found = []
    for number, entry in enumerate(entries_of(predictions, name), start=1):
        if entry.integer("image_id") not in images:
            raise entry.wrong("image_id", "the id of an image of the ground truth")
        kept = {"id": number, "image_id": entry.integer("image_id"), "category_id": entry.integer("category_id")}
        shape = _shape(entry, Entry(images[kept["image_id"]], "the image"), iou_type)
        found.append(kept | {"score": entry.number("score"), "iscrowd": 0} | shape)
    return [detection for detection in found if detection["category_id"] in categories]


def _annotation(number: int, entry: Entry, image: Entry, iou_type: IouType) -> dict[str, Any]:
    kept = {key: entry.integer(key) for key in ("image_id", "category_id")}
    told = {"area": entry.number("area")} if "area" in entry.values else {}
    crowd = int(entry.flag("iscrowd", default=False))
    return {"id": number, "iscrowd": crowd} | kept | _shape(entry, image, iou_type) | told


def _shape(entry: Entry, image: Entry, iou_type: IouType) -> dict[str, Any]:
    """The box or the mask of an object, and its area."""
    if iou_type == "bbox":
        box = entry.box()
        return {"bbox": box, "area": box[2] * box[3]}
    mask = entry.mask(size_of(image))
    return {"segmentation": mask, "area": float(needed("pycocotools.mask", "eval").area(mask))}


def _evaluate(content: dict[str, Any], found: list[Any], iou_type: IouType, images: list[int]) -> dict[str, float]:
    truth, answers = (needed("pycocotools.coco", "eval").COCO() for _ in range(2))
    for index, annotations in ((truth, content["annotations"]), (answers, found)):
        index.dataset = content | {"annotations": annotations}
        index.createIndex()
    evaluation = needed("pycocotools.cocoeval", "eval").COCOeval(truth, answers, iou_type)
    evaluation.params.imgIds = images
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return dict(zip(_NAMES, map(float, evaluation.stats), strict=True))
