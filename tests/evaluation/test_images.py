import json
from pathlib import Path

import numpy as np
import pytest

from sam3_hf.evaluation.concepts import threshold_curves
from sam3_hf.evaluation.datapoints import Datapoint, Detections, GroundTruth, Objects, check_iou_type
from sam3_hf.evaluation.images import evaluate_images, image_outcomes
from sam3_hf.evaluation.saco import ground_truth_of, read_ground_truth, read_predictions

TOY = Path(__file__).parents[1] / "data" / "cgf1_toy"
EXPECTED = json.loads((TOY / "expected.json").read_text())["results"]


def toy(case):
    iou_type = EXPECTED[case]["iou_type"]
    truths = [read_ground_truth(TOY / name, iou_type) for name in EXPECTED[case]["gt_files"]]
    return read_predictions(TOY / EXPECTED[case]["pred_file"], iou_type), truths, iou_type


@pytest.mark.parametrize("case", EXPECTED)
def test_all_metrics_are_those_of_the_original(case):
    scores = evaluate_images(*toy(case))
    expected = EXPECTED[case]["metrics"]
    assert {name: scores[name] for name in expected} == pytest.approx(expected, rel=0, abs=1e-12)
    assert scores["pmF1"] == scores["positive_micro_F1"]
    assert scores["datapoints"] == len(EXPECTED[case]["evaluated_image_ids"])


@pytest.mark.parametrize("case", EXPECTED)
def test_each_datapoint_and_threshold_is_that_of_the_original(case):
    outcomes = image_outcomes(*toy(case))
    assert list(outcomes) == EXPECTED[case]["evaluated_image_ids"]
    for expected in EXPECTED[case]["per_datapoint"]:
        outcome = outcomes[expected["image_id"]]
        assert f"IL_{outcome.level}" == expected["IL"]
        if outcome.level != "TN":
            assert outcome.true_positives.tolist() == expected["TPs"]
            assert outcome.false_positives.tolist() == expected["FPs"]
            assert outcome.false_negatives.tolist() == expected["FNs"]
            assert outcome.local_f1.mean() == pytest.approx(expected["local_F1_mean"], abs=1e-12)
    curves = threshold_curves(list(outcomes.values()), EXPECTED[case]["metrics"]["IL_MCC"])
    for name, expected in EXPECTED[case]["per_iou_threshold"].items():
        assert curves[name].tolist() == pytest.approx(expected, abs=1e-12)


def boxes(*values):
    return Objects(np.array(values, float).reshape(-1, 4), None)


def truth(name, objects=None, *, exhaustive=True, id=1):
    return GroundTruth({id: Datapoint(id, objects or boxes(), exhaustive, (10, 10))}, name=name)


def found(*values, score=0.9, category=1):
    return {1: Detections(boxes(*values), np.full(len(values), score), np.full(len(values), category))}


BOX, ELSEWHERE = (0, 0, 0.4, 0.4), (0.6, 0.6, 0.2, 0.2)


@pytest.mark.parametrize(("order", "level"), [("ab", "FP"), ("ba", "TP")])
def test_of_annotators_equally_wrong_the_first_counts(order, level):
    truths = {"a": truth("a"), "b": truth("b", boxes(ELSEWHERE))}
    outcomes = image_outcomes(found(BOX), [truths[name] for name in order], "bbox")
    assert outcomes[1].level == level


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_an_agreement_on_absence_is_never_given_up(order):
    truths = {"a": truth("a"), "b": truth("b", boxes(BOX))}
    assert image_outcomes({}, [truths[name] for name in order], "bbox")[1].level == "TN"


def test_a_score_of_one_half_counts_and_other_categories_do_not():
    assert image_outcomes(found(BOX, score=0.5), [truth("a", boxes(BOX))], "bbox")[1].level == "TP"
    assert image_outcomes(found(BOX, score=0.49999), [truth("a", boxes(BOX))], "bbox")[1].level == "FN"
    assert image_outcomes(found(BOX, category=2), [truth("a", boxes(BOX))], "bbox")[1].level == "FN"


def test_nothing_found_in_positives_leaves_the_macro_f1_open():
    scores = evaluate_images({}, [truth("a", boxes(BOX))], "bbox")
    assert np.isnan(scores["positive_macro_F1"])
    assert scores["cgF1"] == scores["pmF1"] == 0


def test_only_some_datapoints_can_be_asked_for():
    truths = [GroundTruth(truth("a", boxes(BOX)).datapoints | truth("a", id=2).datapoints)]
    assert evaluate_images(found(BOX), truths, "bbox")["datapoints"] == 2
    assert evaluate_images(found(BOX), truths, "bbox", only={2})["datapoints"] == 1


class TestRefusals:
    def test_no_ground_truth(self):
        with pytest.raises(ValueError, match="at least one ground truth"):
            evaluate_images({}, [])

    def test_nothing_to_evaluate(self):
        with pytest.raises(ValueError, match="a holds no datapoint"):
            evaluate_images({}, [truth("a", exhaustive=False)])

    def test_a_datapoint_that_an_annotator_lacks(self):
        with pytest.raises(ValueError, match="b lacks the datapoint 1 of a"):
            evaluate_images({}, [truth("a"), truth("b", id=2)])

    def test_an_unknown_type(self):
        with pytest.raises(ValueError, match="segm or bbox, got 'mask'"):
            check_iou_type("mask")

    def test_masks_where_only_boxes_were_read(self):
        with pytest.raises(ValueError, match="no masks"):
            evaluate_images(found(BOX), [truth("a", boxes(BOX))], "segm")

    def test_a_mask_of_another_size(self):
        content = json.loads((TOY / "gt_a.json").read_text())
        content["annotations"] = []
        content["images"][0]["height"] = 11
        predictions = read_predictions(TOY / "pred.json")
        with pytest.raises(ValueError, match=r"Datapoint 1 has the size \[11, 20\].*mask \[10, 20\]"):
            evaluate_images(predictions, [ground_truth_of(content)])
