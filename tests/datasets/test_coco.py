import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks
from tests.support.coco import SIDE, write_split

from sam3_hf.datasets.coco import CocoDataset
from sam3_hf.datasets.coco_files import CocoError, read_coco


def edited(folder: Path, edit: Any, count: int = 2) -> Path:
    """A COCO file after `edit` of its content."""
    path = write_split(folder, count)
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


def first_object(dataset: CocoDataset, index: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Box and mask of the first annotation of an image."""
    annotation = dataset.file.images[index].annotations[0]
    prompt = dataset[index].prompts[list(dataset.file.categories).index(annotation.category)]
    return prompt.boxes_xyxy_px[0], prompt.masks[0]


def test_every_category_is_a_prompt_on_every_image(tmp_path: Path) -> None:
    dataset = CocoDataset(write_split(tmp_path, 5))
    assert len(dataset) == 5
    for example in (dataset[index] for index in range(5)):
        assert [prompt.text for prompt in example.prompts] == ["red square", "green square", "blue square"]
        assert len(example.prompts[2].boxes_xyxy_px) == 0
        assert sum(len(prompt.boxes_xyxy_px) for prompt in example.prompts) in (1, 2)
    assert dataset.has_masks
    assert dataset.has_negatives


def test_boxes_and_polygons_are_where_the_colour_is(tmp_path: Path) -> None:
    dataset = CocoDataset(write_split(tmp_path, 5))
    box, mask = first_object(dataset)
    x1, y1, x2, y2 = box.astype(int)
    assert mask.shape == (SIDE, SIDE)
    assert mask[y1:y2, x1:x2].all()
    assert mask.sum() == (x2 - x1) * (y2 - y1)


@pytest.mark.parametrize("compressed", [True, False])
def test_run_length_codes_are_read(tmp_path: Path, compressed: bool) -> None:
    drawn = np.zeros((SIDE, SIDE), dtype=np.uint8)
    drawn[5:20, 3:60] = 1
    code = coco_masks.encode(np.asfortranarray(drawn))
    counts: Any = code["counts"].decode()
    if not compressed:
        pixels = drawn.ravel(order="F")
        counts = np.diff(np.flatnonzero(np.diff(pixels, prepend=0, append=2)), prepend=0).tolist()

    def edit(content: dict) -> None:
        content["annotations"][0]["segmentation"] = {"size": [SIDE, SIDE], "counts": counts}

    assert (first_object(CocoDataset(edited(tmp_path, edit)))[1] == drawn).all()


def test_an_empty_mask_becomes_its_box(tmp_path: Path) -> None:
    def edit(content: dict) -> None:
        content["annotations"][0] |= {"bbox": [3, 5, 10, 20]}
        content["annotations"][0]["segmentation"] = {"size": [SIDE, SIDE], "counts": [SIDE * SIDE]}

    _, mask = first_object(CocoDataset(edited(tmp_path, edit)))
    assert mask[5:25, 3:13].all()
    assert mask.sum() == 200


def test_crowds_are_left_out_and_leave_a_negative_prompt(tmp_path: Path) -> None:
    def edit(content: dict) -> None:
        for annotation in content["annotations"]:
            annotation["iscrowd"] = 1

    dataset = CocoDataset(edited(tmp_path, edit), masks=True)
    assert all(len(prompt.boxes_xyxy_px) == 0 for prompt in dataset[0].prompts)
    assert not dataset.has_masks


def test_objects_without_a_mask_are_marked(tmp_path: Path) -> None:
    def edit(content: dict) -> None:
        content["annotations"][0]["segmentation"] = []

    dataset = CocoDataset(edited(tmp_path, edit))
    marks = [mark for prompt in dataset[0].prompts for mark in prompt.mask_valid.tolist()]
    assert marks.count(False) == 1


def test_without_segmentations_there_are_boxes_alone(tmp_path: Path) -> None:
    dataset = CocoDataset(write_split(tmp_path, 2, masks=False))
    assert not dataset.masks
    assert all(prompt.masks is None for prompt in dataset[0].prompts)


def test_boxes_end_at_the_image(tmp_path: Path) -> None:
    dataset = CocoDataset(edited(tmp_path, lambda content: content["annotations"][0].update(bbox=[-5, 70, 20, 50])))
    assert first_object(dataset)[0].tolist() == [0, 70, 15, SIDE]


def test_images_and_categories_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    def edit(content: dict) -> None:
        content["images"].reverse()
        content["categories"].reverse()

    dataset = CocoDataset(edited(tmp_path, edit))
    assert [dataset[index].image_id for index in range(2)] == [0, 1]
    assert dataset[0].prompts[0].text == "red square"


def test_a_heading_is_no_prompt(tmp_path: Path) -> None:
    def edit(content: dict) -> None:
        for category in content["categories"]:
            category["supercategory"] = "shapes"
        content["categories"].append({"id": 9, "name": "shapes", "supercategory": "none"})

    assert "shapes" not in CocoDataset(edited(tmp_path, edit)).prompts.values()


def test_other_texts_can_ask_for_the_categories(tmp_path: Path) -> None:
    path = write_split(tmp_path, 1)
    dataset = CocoDataset(path, prompts={0: "a red thing", 1: "a green thing", 2: "a blue thing"})
    assert dataset[0].prompts[0].text == "a red thing"
    with pytest.raises(CocoError, match="prompts lacks the categories 1, 2"):
        CocoDataset(path, prompts={0: "a red thing"})


def test_images_are_read_as_they_were_annotated(tmp_path: Path) -> None:
    """A photograph that a camera marked as lying on its side, annotated upright and as it lies."""
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:, :10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    for size in ((40, 60), (60, 40)):
        content = {"images": [{"id": 1, "file_name": "photo.png", "height": size[0], "width": size[1]}]}
        content |= {"annotations": [], "categories": [{"id": 1, "name": "cat"}]}
        (tmp_path / "a.json").write_text(json.dumps(content))
        image = CocoDataset(tmp_path / "a.json")[0].image
        assert (image.height, image.width) == size
        assert not image.getexif()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda c: c.pop("categories"), 'has a list of entries under "categories"; this one has not'),
        (lambda c: c["categories"].clear(), "there are no categories"),
        (lambda c: c["categories"][1].update(id=0), r"categories\[1\] \(id 0\): no two categories have the same id"),
        (lambda c: c["categories"][1].update(name=""), r"categories\[1\] \(id 1\): name is a text"),
        (lambda c: c["images"][1].update(id="b"), r"images\[1\] \(id b\): id is a whole number"),
        (lambda c: c["images"][1].update(id=0), r"images\[1\] \(id 0\): no two images have the same id"),
        (lambda c: c["images"][0].update(width=None), r"images\[0\] \(id 0\): width and height are numbers"),
        (lambda c: c["images"][0].pop("file_name"), r"images\[0\] \(id 0\): file_name is a text"),
        (lambda c: c["annotations"][1].update(image_id=77), r"annotations\[1\] \(id 1\): image_id is the id of an im"),
        (lambda c: c["annotations"][1].update(category_id=None), r"annotations\[1\] \(id 1\): category_id is the id"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, -3, 4]), r"annotations\[1\] \(id 1\): bbox is \[x, y, width"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, 3]), r"bbox is \[x, y, width, height\] in pixels; got"),
        (lambda c: c["annotations"][1].update(segmentation=[[1, 2]]), r"annotations\[1\] .*: segmentation is a list"),
        (lambda c: c["annotations"][1].update(segmentation={"counts": 7}), r"annotations\[1\] .*: segmentation is a"),
        (lambda c: c["images"][1].update(file_name="no.png"), r"lacks the image no\.png"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_entry(tmp_path: Path, edit: Any, said: str) -> None:
    path = edited(tmp_path, edit)
    with pytest.raises(CocoError, match=said) as caught:
        CocoDataset(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            lambda c: c["images"][0].update(width=50),
            r"image 0, .*image0.png, is 84 x 84 pixels, but the file says 50 x 84",
        ),
        (
            lambda c: c["annotations"][0].update(segmentation={"size": [9, 9], "counts": [81]}),
            r"the segmentation of annotation 0 of image 0 cannot be used: the mask has the size",
        ),
        (
            lambda c: c["annotations"][0].update(segmentation={"size": [84, 84], "counts": [81]}),
            r"annotation 0 of image 0 cannot be used: The runs of this code cover 81 pixels",
        ),
    ],
)
def test_what_shows_only_when_an_image_is_read_is_named_then(tmp_path: Path, edit: Any, said: str) -> None:
    path = edited(tmp_path, edit)
    with pytest.raises(CocoError, match=said) as caught:
        CocoDataset(path)[0]
    assert str(path) in str(caught.value)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    path = write_split(tmp_path, 1)
    (tmp_path / "image0.png").write_bytes(b"no image")
    with pytest.raises(CocoError, match=r"image 0, .*image0\.png, cannot be read"):
        CocoDataset(path)[0]


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_a_file_that_is_no_coco_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(CocoError, match=r"a\.json"):
        read_coco(tmp_path / "a.json")
