import copy
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sam3_hf.evaluation.coco import coco_average_precision, read_coco

SIZE = (40, 60)


def code(x, y, width, height):
    import torch

    from sam3_hf.ops.masks import encode_rle

    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[y : y + height, x : x + width] = True
    return encode_rle(mask)


def random_objects(count, seed, **more):
    rng = np.random.default_rng(seed)
    entries = []
    for index in range(count):
        x, y, width, height = (int(value) for value in rng.integers((0, 0, 5, 5), (40, 20, 20, 20)))
        entries.append(
            {
                "image_id": int(rng.integers(0, 4)),
                "category_id": int(rng.integers(0, 3)),
                "bbox": [x, y, width, height],
                "segmentation": code(x, y, width, height),
                **{name: make(index, rng) for name, make in more.items()},
            }
        )
    return entries


@pytest.fixture
def truth():
    annotations = random_objects(12, 0, id=lambda i, _: i, iscrowd=lambda i, _: int(i == 5))
    for annotation in annotations:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    return {
        "images": [{"id": id, "file_name": f"{id}.png", "height": SIZE[0], "width": SIZE[1]} for id in range(4)],
        "annotations": annotations,
        "categories": [{"id": id, "name": name} for id, name in enumerate(("cat", "dog", "cup"))],
    }


@pytest.fixture
def found(truth):
    """Right answers that are moved a little, and wrong ones."""
    right = copy.deepcopy(truth["annotations"][:9])
    for index, entry in enumerate(right):
        x, y, width, height = entry["bbox"]
        entry["bbox"] = [x + index % 3, y, width, height]
        entry["segmentation"] = code(x + index % 3, y, width, height)
        entry["score"] = round(0.95 - 0.07 * index, 5)
    kept = ("image_id", "category_id", "bbox", "segmentation", "score")
    right = [{key: entry[key] for key in kept} for entry in right]
    return right + random_objects(8, 1, score=lambda _, rng: round(float(rng.random()), 5))


def by_pycocotools(truth, found, iou_type):
    """The reference, on files whose ids start at 1."""
    truth, found = copy.deepcopy(truth), copy.deepcopy(found)
    for annotation in truth["annotations"]:
        annotation["id"] += 1
    for entry in found if iou_type == "segm" else ():
        del entry["bbox"]
    coco = COCO()
    coco.dataset = truth
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes(found), iou_type)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats.tolist()


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_the_numbers_are_those_of_pycocotools_even_if_ids_start_at_zero(truth, found, iou_type, capsys):
    scores = coco_average_precision(found, truth, iou_type)
    assert capsys.readouterr().out == ""
    assert list(scores.values()) == by_pycocotools(truth, found, iou_type)
    assert 0.2 < scores["AP"] < 0.9
    assert list(scores)[:3] == ["AP", "AP_50", "AP_75"]


def test_the_positive_split_forgives_answers_where_nothing_is_to_be_found(truth, found):
    split = coco_average_precision(found, truth, positive_split=True)
    present = {(entry["image_id"], entry["category_id"]) for entry in truth["annotations"]}
    kept = [entry for entry in found if (entry["image_id"], entry["category_id"]) in present]
    assert len(kept) < len(found)
    assert split == coco_average_precision(kept, truth)
    assert split["AP"] > coco_average_precision(found, truth)["AP"]


def test_perfect_answers_score_one_and_none_score_zero(truth):
    exact = [
        {**{key: entry[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9}
        for entry in truth["annotations"]
        if not entry["iscrowd"]
    ]
    assert coco_average_precision(exact, truth)["AP"] == pytest.approx(1)
    assert coco_average_precision([], truth)["AP"] == 0


def test_only_some_images_can_be_asked_for(truth, found):
    some = coco_average_precision(found, truth, only={0, 2})
    truth["images"] = [image for image in truth["images"] if image["id"] in {0, 2}]
    for entries in (truth["annotations"], found):
        entries[:] = [entry for entry in entries if entry["image_id"] in {0, 2}]
    assert some == coco_average_precision(found, truth)


def test_what_was_passed_stays_as_it_was(truth, found):
    before = copy.deepcopy((truth, found))
    coco_average_precision(found, truth, "segm")
    assert before == (truth, found)


@pytest.mark.parametrize(
    ("where", "key", "value", "message"),
    [
        ("annotations", "category_id", 9, r"gt.json: annotations\[1\].category_id must be the id of one of the categ"),
        ("annotations", "image_id", 9, r"gt.json: annotations\[1\].image_id must be the id of one of the images"),
        ("annotations", "bbox", [1, 2, 3], r"gt.json: annotations\[1\].bbox must be four finite numbers"),
        ("images", "id", 0, r"gt.json: images\[1\].id must be unique, but .*gt.json: images\[0\] has 0 too"),
        ("categories", "id", "x", r"gt.json: categories\[1\].id must be a whole number, got 'x'"),
    ],
)
def test_a_wrong_annotation_is_named(truth, tmp_path, where, key, value, message):
    truth[where][1][key] = value
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    with pytest.raises(ValueError, match=message):
        read_coco(tmp_path / "gt.json")


def test_a_detection_in_an_unknown_image_is_named(truth, found):
    found[3]["image_id"] = 77
    with pytest.raises(ValueError, match=r"predictions\[3\].image_id must be the id of an image of the ground truth"):
        coco_average_precision(found, truth)
