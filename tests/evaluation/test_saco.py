import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_masks

from sam3_hf.evaluation.images import evaluate_images
from sam3_hf.evaluation.saco import ground_truth_of, predictions_of, read_ground_truth, read_predictions
from sam3_hf.ops.masks import decode_rle

TOY = Path(__file__).parents[1] / "data" / "cgf1_toy"


@pytest.fixture
def truth():
    return json.loads((TOY / "gt_a.json").read_text())


@pytest.fixture
def found():
    return json.loads((TOY / "pred.json").read_text())


def uncompressed(code):
    pixels = decode_rle(code).numpy().ravel(order="F")
    edges = np.flatnonzero(np.diff(pixels, prepend=False))
    return {"size": code["size"], "counts": np.diff(edges, prepend=0, append=len(pixels)).tolist()}


def test_a_file_holds_phrases_sizes_and_objects():
    truth = read_ground_truth(TOY / "gt_a.json")
    assert list(truth.datapoints) == [1, 2, 7, 3, 4, 5, 6]
    first = truth.datapoints[1]
    assert (first.text, first.file_name, first.size, first.exhaustive) == ("red square", "img0.png", (10, 20), True)
    assert len(first.objects.masks) == 2
    assert not truth.datapoints[6].exhaustive


def test_groups_are_left_out():
    assert read_ground_truth(TOY / "gt_a.json").datapoints[6].objects.masks == []


def test_only_what_is_compared_is_read(found):
    for entry in found:
        del entry["segmentation"]
    assert predictions_of(found, "bbox")[1].objects.boxes_xywh.shape == (4, 4)
    with pytest.raises(ValueError, match=r"predictions\[0\] has no 'segmentation'"):
        predictions_of(found, "segm")


def test_other_forms_of_masks_are_read(truth, found):
    expected = evaluate_images(predictions_of(found), [ground_truth_of(truth)])
    for entry in (*truth["annotations"], *found):
        entry["segmentation"] = uncompressed(entry["segmentation"])
    assert evaluate_images(predictions_of(found), [ground_truth_of(truth)]) == expected


def test_polygons_are_drawn(truth):
    truth["annotations"][0]["segmentation"] = [[2, 2, 8, 2, 8, 7, 2, 7], [12, 1, 15, 1, 15, 5]]
    (mask, _) = ground_truth_of(truth).datapoints[1].objects.masks
    assert coco_masks.area(mask) == pytest.approx(30 + 6, abs=4)
    assert torch.equal(decode_rle(mask)[2:7, 2:8], torch.ones(5, 6, dtype=torch.bool))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"][2].pop("is_instance_exhaustive"), r"images\[2\] has no 'is_instance_exhaustive'"),
        (lambda c: c["images"][2].update(height=0), r"images\[2\].height must be a number of pixels, got 0"),
        (lambda c: c["images"][2].update(width="9"), r"images\[2\].width must be a whole number, got '9'"),
        (lambda c: c["images"][2].update(text_input=" "), r"images\[2\].text_input must be a text, got ' '"),
        (lambda c: c["images"].append("x"), r"images\[7\] must be an object, got str"),
        (lambda c: c.update(annotations={}), r"ground truth.annotations must be a list, got \{\}"),
        (
            lambda c: c["annotations"][1].update(image_id=99),
            r"annotations\[1\].image_id must be the id of one of the im",
        ),
        (
            lambda c: c["annotations"][1].update(segmentation=[[1, 2, 3]]),
            r"annotations\[1\].segmentation must be polyg",
        ),
        (
            lambda c: c["annotations"][1].update(segmentation=None),
            r"annotations\[1\].segmentation must be a run-length",
        ),
        (
            lambda c: c["annotations"][1]["segmentation"].update(counts="082"),
            r"annotations\[1\].segmentation must be a run-length code \(size, counts\) whose runs fill its size",
        ),
        (lambda c: c["annotations"][1]["segmentation"].update(counts=""), r"annotations\[1\].segmentation must be"),
        (lambda c: c["annotations"][1]["segmentation"].update(counts="é"), r"annotations\[1\].segmentation must be"),
        (lambda c: c["annotations"][1]["segmentation"].update(counts=["a"]), r"annotations\[1\].segmentation must be"),
        (lambda c: c["annotations"][1]["segmentation"].update(size=[10]), r"annotations\[1\].segmentation must be"),
    ],
)
def test_a_wrong_annotation_is_named(truth, change, message):
    change(truth)
    with pytest.raises(ValueError, match=f"^ground truth(: )?{message.removeprefix('ground truth')}"):
        ground_truth_of(truth)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": float("nan")}, r"predictions\[4\].score must be a finite number, got nan"),
        ({"score": True}, r"predictions\[4\].score must be a finite number, got True"),
        ({"image_id": 1.5}, r"predictions\[4\].image_id must be a whole number, got 1.5"),
        ({"category_id": None}, r"predictions\[4\].category_id must be a whole number, got None"),
        ({"bbox": [0, 0, -1, 1]}, r"predictions\[4\].bbox must be four finite numbers"),
    ],
)
def test_a_wrong_prediction_is_named(found, change, message):
    found[4] |= change
    with pytest.raises(ValueError, match=f"^{message}"):
        predictions_of(found, "bbox")


@pytest.mark.parametrize("content", [None, 3, {"images": []}])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "file.json").write_text(json.dumps(content))
    for read in (read_ground_truth, read_predictions):
        with pytest.raises(ValueError, match=r"file\.json"):
            read(tmp_path / "file.json")
