"""Folders of COCO data sets, as they are commonly laid out.

folder, "train" -> COCO file and the folder that its file names start from

    Roboflow   train/_annotations.coco.json beside the images; valid/ and test/ alike
    ODinW      train/annotations_without_background.json or train/fewshot_train_shot10_seed3.json beside the images;
               train_annotations_without_background.json beside the images of all splits
    COCO       annotations/instances_train2017.json and train2017/; annotations.json or train.json and images/
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sam3_hf.datasets.coco_files import CocoError

_NAMES = {"train": ("train",), "valid": ("valid", "val"), "test": ("test",)}


class CocoSource(NamedTuple):
    """A COCO file and the folder that its file names start from."""

    file: Path
    images: Path


def find_split(folder: str | Path, split: str, file_name: str | None = None) -> CocoSource | None:
    """A split of a data set; `None` if the folder has none of it.

    Args:
        folder: The data set.
        split: "train", "valid" or "test".
        file_name: Name of the COCO file, where it is not one that is looked for: below `folder` or the split's folder.

    Raises:
        CocoError: No folder, no file of that name, several that could be meant, or the images are nowhere.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CocoError(f"There is no folder {folder}.")
    for place in _places(folder, split, file_name):
        found = sorted(place.parent.glob(place.name))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise CocoError(f"{place.parent} holds several files for {split}: {names}; say which one is meant.")
        if found:
            return CocoSource(found[0], _images(folder, split, found[0]))
    if file_name is not None:
        raise CocoError(f"{folder} holds no {file_name}, nor does the folder of the split {split} in it.")
    return None


def _places(folder: Path, split: str, file_name: str | None) -> Iterator[Path]:
    """Where the file may be, the likelier first; names may have wildcards."""
    for name in _NAMES[split]:
        if file_name is not None:
            yield from (folder / name / file_name, folder / file_name, folder / "annotations" / file_name)
            continue
        # Where both are there, the first lacks the category that stands for everything else.
        yield folder / name / "annotations_without_background.json"
        yield folder / name / f"{name}_annotations_without_background.json"
        yield folder / name / "_annotations.coco.json"
        yield folder / f"{name}_annotations_without_background.json"
        yield folder / f"{name}.json"
        yield folder / "annotations" / f"instances_{name}*.json"
        yield folder / "annotations" / f"{name}.json"
    if split == "train" and file_name is None:
        yield folder / "annotations.json"
        yield folder / "_annotations.coco.json"


def _images(folder: Path, split: str, file: Path) -> Path:
    """The folder that the first image is found in."""
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["images"]
        first = entries[0]["file_name"] if entries else "."
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise CocoError(f"{file} cannot be read as a COCO file: {error!r}") from error
    named = [path for name in _NAMES[split] for path in sorted(folder.glob(f"{name}*")) if path.is_dir()]
    named.sort(key=lambda path: path.name not in file.stem)  # instances_train2017.json goes with train2017
    below = [folder / "images" / name for name in _NAMES[split]]
    looked = [file.parent, *named, *below, folder / "images", folder]
    for path in looked:
        if (path / first).exists():
            return path
    tried = ", ".join(str(path) for path in dict.fromkeys(looked))
    raise CocoError(f"{file}: the image {first} is in none of {tried}.")
