import copy
import json
import math
from pathlib import Path

import pytest

from sam3_hf.evaluation.veval import pairs_of, read_pairs
from sam3_hf.evaluation.videos import evaluate_each_pair, evaluate_videos

TOY = Path(__file__).parents[1] / "data" / "veval_toy"
EXPECTED = json.loads((TOY / "expected.json").read_text())
KINDS = {"segm": "mask", "bbox": "bbox"}


@pytest.fixture
def contents():
    return [json.loads((TOY / name).read_text()) for name in ("pred.json", "gt.json")]


@pytest.fixture(scope="module")
def pairs():
    return read_pairs(TOY / "pred.json", TOY / "gt.json")


def expected_results(kind):
    """All of the original's numbers but those of TETA, a metric of its own."""
    teta = ("teta", "loc_", "assoc_", "cls_")
    results = EXPECTED["dataset_results"]
    prefix = f"video_{kind}_"
    return {
        name: results[name] for name in results if name.startswith(prefix) and not name[len(prefix) :].startswith(teta)
    }


@pytest.mark.parametrize("iou_type", KINDS)
def test_all_metrics_are_those_of_the_original(pairs, iou_type):
    scores = evaluate_videos(pairs, iou_type)
    expected = expected_results(KINDS[iou_type])
    assert len(expected) == 22
    assert {name: scores[name] for name in expected} == pytest.approx(expected, rel=0, abs=1e-9)
    assert scores["pHOTA"] == scores[f"video_{KINDS[iou_type]}_all_phrase_HOTA"]
    assert scores["cgF1"] == scores[f"video_{KINDS[iou_type]}_demo_cgf1_micro_50_95"]
    assert scores["pairs"] == 6


@pytest.mark.parametrize("iou_type", KINDS)
def test_each_pair_is_that_of_the_original(pairs, iou_type):
    scores = {(one["video_id"], one["category_id"]): one for one in evaluate_each_pair(pairs, iou_type)}
    assert len(scores) == len(EXPECTED["video_np_results"]) == 6
    for entry in EXPECTED["video_np_results"]:
        expected = {
            name: value for name, value in entry.items() if name.endswith("_id") or name.startswith(KINDS[iou_type])
        }
        one = scores[entry["video_id"], entry["category_id"]]
        assert one == pytest.approx(expected, rel=0, abs=1e-9)


def test_nothing_predicted_is_a_result_too(contents):
    scores = evaluate_videos(pairs_of([], contents[1]))
    assert scores["cgF1"] == scores["pHOTA"] == scores["pmF1"] == 0
    assert math.isnan(scores["video_mask_demo_ilmcc_50"])


def test_perfect_answers_score_one(contents):
    predictions = [{**annotation, "score": 0.9} for annotation in contents[1]["annotations"]]
    scores = evaluate_videos(pairs_of(predictions, contents[1]))
    for name in ("cgF1", "pmF1", "IL_MCC", "pHOTA", "video_mask_phrase_ap_50_95", "video_mask_mAP_50_95"):
        assert scores[name] == pytest.approx(1, abs=1e-4)


def test_groups_are_neither_right_nor_wrong_for_average_precision(contents):
    """The surest masklet matches nothing but a group, so it neither helps nor harms."""
    predictions, truth = contents
    before = evaluate_videos(pairs_of(predictions, truth))
    group = copy.deepcopy(truth["annotations"][2]) | {"id": 9, "iscrowd": 1, "category_id": 3}
    with_group = copy.deepcopy(truth)
    with_group["annotations"].append(group)
    on_group = {**group, "score": 0.99}
    after = evaluate_videos(pairs_of([*predictions, on_group], with_group))
    assert after["video_mask_phrase_ap_50_95"] == before["video_mask_phrase_ap_50_95"]
    wrong = evaluate_videos(pairs_of([*predictions, on_group], truth))
    assert wrong["video_mask_phrase_ap_50_95"] < before["video_mask_phrase_ap_50_95"]
    assert after["cgF1"] == pytest.approx(wrong["cgF1"])


def test_no_pairs_are_refused():
    with pytest.raises(ValueError, match="no phrase in any video"):
        evaluate_videos([])


@pytest.mark.parametrize(
    ("which", "change", "message"),
    [
        (0, {"score": "high"}, r"predictions\[1\].score must be a finite number, got 'high'"),
        (0, {"video_id": 5}, r"predictions\[1\].video_id must be the id of one of the videos"),
        (0, {"segmentations": []}, r"predictions\[1\].segmentations must be a list with one entry for each of the 4"),
        (0, {"bboxes": [[0, 0, 1, 1]] * 3 + [[1]]}, r"predictions\[1\].bboxes\[3\]"),
        (0, {"segmentations": [None, None, {"size": [12, 20], "counts": "1"}, None]}, r"segmentations\[2\]"),
        (1, {"iscrowd": 2}, r"ground truth: annotations\[1\].iscrowd must be 0 or 1, got 2"),
    ],
)
def test_a_wrong_entry_is_named(contents, which, change, message):
    entries = contents[0] if which == 0 else contents[1]["annotations"]
    entries[1] |= change
    with pytest.raises(ValueError, match=message):
        pairs_of(*contents)
