import shutil
from pathlib import Path

import pytest
from tests.support.coco import write_split

from sam3_hf.datasets.coco import CocoDataset
from sam3_hf.datasets.coco_files import CocoError
from sam3_hf.datasets.coco_folders import find_split


def lay_out(folder: Path, file: str, images: str, seed: int = 0) -> None:
    """Two images in one folder below `folder`, their COCO file at another place."""
    written = write_split(folder / images, 2, seed, name="scratch.json")
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(written, folder / file)


LAYOUTS = {
    "roboflow": ("{}/_annotations.coco.json", "{}"),
    "odinw": ("{}/annotations_without_background.json", "{}"),
    "odinw pistols": ("{}_annotations_without_background.json", "."),
    "coco 2017": ("annotations/instances_{}2017.json", "{}2017"),
    "one file per split": ("{}.json", "images"),
    "images by split": ("annotations/{}.json", "images/{}"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("split", "name"), [("train", "train"), ("valid", "valid"), ("valid", "val"), ("test", "test")]
)
def test_common_layouts_are_found(tmp_path: Path, layout: str, split: str, name: str) -> None:
    file, images = (part.format(name) for part in LAYOUTS[layout])
    lay_out(tmp_path, file, images)
    found = find_split(tmp_path, split)
    assert found is not None
    assert found.file == tmp_path / file
    assert len(CocoDataset(found.file, found.images)) == 2
    assert find_split(tmp_path, "test" if split == "train" else "train") is None


def test_a_single_file_is_for_training(tmp_path: Path) -> None:
    lay_out(tmp_path, "annotations.json", "images")
    assert find_split(tmp_path, "train") == (tmp_path / "annotations.json", tmp_path / "images")
    assert find_split(tmp_path, "valid") is None


def test_the_file_without_a_category_for_the_rest_goes_first(tmp_path: Path) -> None:
    lay_out(tmp_path, "train/_annotations.coco.json", "train")
    lay_out(tmp_path, "train/annotations_without_background.json", "train")
    assert find_split(tmp_path, "train").file.name == "annotations_without_background.json"


def test_few_shot_files_are_found_by_name(tmp_path: Path) -> None:
    name = "fewshot_train_shot10_seed3.json"
    lay_out(tmp_path, f"train/{name}", "train")
    lay_out(tmp_path, "train/_annotations.coco.json", "train")
    assert find_split(tmp_path, "train", name).file == tmp_path / "train" / name
    with pytest.raises(CocoError, match=r"holds no nothing\.json"):
        find_split(tmp_path, "train", "nothing.json")


def test_several_files_are_not_chosen_from(tmp_path: Path) -> None:
    for year in (2014, 2017):
        lay_out(tmp_path, f"annotations/instances_train{year}.json", f"train{year}")
    with pytest.raises(CocoError, match=r"several files for train: instances_train2014\.json, instances_train2017"):
        find_split(tmp_path, "train")
    assert find_split(tmp_path, "train", "instances_train2017.json").images == tmp_path / "train2017"


def test_images_that_are_nowhere_are_missed(tmp_path: Path) -> None:
    lay_out(tmp_path, "train.json", "elsewhere")
    with pytest.raises(CocoError, match=r"train\.json: the image image0\.png is in none of"):
        find_split(tmp_path, "train")


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CocoError, match="There is no folder"):
        find_split(tmp_path / "none", "train")
