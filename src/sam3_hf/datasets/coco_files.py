"""COCO files: read once, checked entry by entry.

file.json -> images in the order of their ids, each with its annotations; categories in the order of theirs
"""

import json
import math
from collections import defaultdict
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple


class CocoError(ValueError):
    """A file that cannot be used; says which, and which entry of it."""


class CocoAnnotation(NamedTuple):
    """One object, or a crowd of them; the segmentation as the file has it, `None` if it has none."""

    id: Any
    category: int
    box_xywh_px: tuple[float, float, float, float]
    segmentation: Any
    is_crowd: bool


class CocoImage(NamedTuple):
    """One image; `size` is (height, width)."""

    id: int
    file_name: str
    size: tuple[int, int]
    annotations: tuple[CocoAnnotation, ...]


class CocoFile(NamedTuple):
    """What a COCO file says; categories by their id."""

    path: Path
    images: tuple[CocoImage, ...]
    categories: dict[int, str]


def read_coco(path: str | Path) -> CocoFile:
    """Read a COCO file. Ids may start anywhere.

    A category that no annotation has, and that is the supercategory of another, is left out: it is a heading.

    Raises:
        CocoError: Not a COCO file, or an entry of it cannot be used.
    """
    path = Path(path)
    content = _content(path)
    categories = dict(sorted(_categories(path, content["categories"])))
    if not categories:
        raise CocoError(f"{path}: there are no categories, so there is nothing to ask for.")
    images = {image.id: image for image in _images(path, content["images"])}
    by_image: defaultdict[int, list[CocoAnnotation]] = defaultdict(list)
    for place, entry in enumerate(content["annotations"]):
        image, annotation = _annotation(path, place, entry, images, categories)
        by_image[image].append(annotation)
    used = {annotation.category for annotations in by_image.values() for annotation in annotations}
    headings = {entry.get("supercategory") for entry in content["categories"]} - {None}
    kept = {id: name for id, name in categories.items() if id in used or name not in headings}
    complete = (images[id]._replace(annotations=tuple(by_image[id])) for id in sorted(images))
    return CocoFile(path, tuple(complete), kept or categories)


def _content(path: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CocoError(f"{path} cannot be read as JSON: {error}") from error
    for name in ("images", "annotations", "categories"):
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise CocoError(f'{path}: a COCO file has a list of entries under "{name}"; this one has not.')
    return content


def _categories(path: Path, entries: list[Any]) -> Iterator[tuple[int, str]]:
    seen: set[int] = set()
    for place, entry in enumerate(entries):
        id, name = _id(path, "categories", place, entry), entry.get("name")
        if not isinstance(name, str) or not name.strip():
            raise _wrong(path, "categories", place, entry, "name is a text")
        if id in seen:
            raise _wrong(path, "categories", place, entry, "no two categories have the same id")
        seen.add(id)
        yield id, name


def _images(path: Path, entries: list[Any]) -> Iterator[CocoImage]:
    """Images without their annotations."""
    seen: set[int] = set()
    for place, entry in enumerate(entries):
        id, size = _id(path, "images", place, entry), (entry.get("height"), entry.get("width"))
        if id in seen:
            raise _wrong(path, "images", place, entry, "no two images have the same id")
        if not isinstance(entry.get("file_name"), str):
            raise _wrong(path, "images", place, entry, "file_name is a text")
        if not all(_is_number(side) and side >= 1 and side == int(side) for side in size):
            raise _wrong(path, "images", place, entry, "width and height are numbers of pixels")
        seen.add(id)
        yield CocoImage(id, entry["file_name"], (int(size[0]), int(size[1])), ())


def _annotation(
    path: Path, place: int, entry: dict[str, Any], images: Container[int], categories: dict[int, str]
) -> tuple[int, CocoAnnotation]:
    """The image that an entry belongs to, and what it says."""
    given: Any = (entry.get(name) for name in ("image_id", "category_id", "bbox"))
    image, category, box = given
    if image not in images:
        raise _wrong(path, "annotations", place, entry, "image_id is the id of an image")
    if category not in categories:
        raise _wrong(path, "annotations", place, entry, "category_id is the id of a category")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)) or min(box[2:]) < 0:
        raise _wrong(path, "annotations", place, entry, "bbox is [x, y, width, height] in pixels")
    segmentation = _segmentation(path, place, entry)
    crowd = bool(entry.get("iscrowd", 0))
    box_xywh_px = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    return image, CocoAnnotation(entry.get("id"), category, box_xywh_px, segmentation, crowd)


def _segmentation(path: Path, place: int, entry: dict[str, Any]) -> Any:
    """Polygons, a run-length code, or `None`."""
    given = entry.get("segmentation")
    if not given or given == [[]]:
        return None
    is_code = isinstance(given, dict) and isinstance(given.get("counts"), (list, str)) and "size" in given
    is_polygons = isinstance(given, list) and all(
        isinstance(points, list) and len(points) >= 6 and len(points) % 2 == 0 and all(map(_is_number, points))
        for points in given
    )
    if not is_code and not is_polygons:
        wanted = "segmentation is a list of polygons [x, y, x, y, x, y, ...] or a run-length code"
        raise _wrong(path, "annotations", place, entry, wanted)
    return given


def _id(path: Path, name: str, place: int, entry: dict[str, Any]) -> int:
    id = entry.get("id")
    if not isinstance(id, int) or isinstance(id, bool):
        raise _wrong(path, name, place, entry, "id is a whole number")
    return id


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(path: Path, name: str, place: int, entry: dict[str, Any], wanted: str) -> CocoError:
    shown = json.dumps(entry)
    shown = shown if len(shown) <= 200 else shown[:197] + "..."
    return CocoError(f"{path}: {name}[{place}] (id {entry.get('id')}): {wanted}; got {shown}")
