import numpy as np
import pytest
import torch
from tests.support.folders import finding_model, tiny_processor
from tests.support.photographs import photograph

from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.evaluation.detecting import predict
from sam3_hf.evaluation.models import evaluate_model
from sam3_hf.ops.masks import decode_rle


@pytest.fixture(scope="module")
def model():
    return finding_model()


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    return tiny_processor(tmp_path_factory.mktemp("merges"))


def nothing(text):
    return PromptExample(text, np.zeros((0, 4), np.float32))


@pytest.fixture(scope="module")
def examples(model, processor):
    """Two photographs with three prompts each; what is annotated is what the model finds for the first."""
    texts = ("nose", "ear", "red cup")
    images = [photograph(), photograph("coffee", (60, 80))]
    empty = [ImageExample(image, tuple(map(nothing, texts))) for image in images]
    with torch.no_grad():
        found = list(predict(model, processor, empty))
    return [
        ImageExample(image, (annotated("nose", found[3 * place], image), *map(nothing, texts[1:])), place)
        for place, image in enumerate(images)
    ]


def annotated(text, detections, image):
    sure = np.flatnonzero(detections.scores >= 0.5)
    assert len(sure)
    kept = detections.objects.take(sure)
    x, y, width, height = kept.boxes_xywh.T
    corners = np.stack([x, y, x + width, y + height], axis=1) * np.tile(image.size, 2)
    return PromptExample(text, corners.astype(np.float32), np.stack([decode_rle(mask).numpy() for mask in kept.masks]))


def test_a_model_that_finds_what_is_annotated_scores_full_marks_there(model, processor, examples):
    positive = [ImageExample(example.image, example.prompts[:1]) for example in examples]
    scores = evaluate_model(model, processor, positive)
    assert scores["segm_pmF1"] == pytest.approx(1, abs=1e-3)
    assert scores["bbox_pmF1"] == pytest.approx(1, abs=1e-3)
    assert scores["segm_IL_recall"] == pytest.approx(1, abs=1e-3)
    assert scores["segm_datapoints"] == 2


def test_finding_what_is_not_there_costs(model, processor, examples):
    scores = evaluate_model(model, processor, examples)
    assert scores["segm_datapoints"] == 6
    assert scores["segm_IL_FPR"] > 0.4
    assert scores["segm_cgF1"] < 0.6


@pytest.mark.parametrize("batch", [{"images_at_once": 2}, {"prompts_at_once": 1}, {"prompts_at_once": 4}])
def test_batches_change_nothing(model, processor, examples, batch):
    assert evaluate_model(model, processor, examples, **batch) == pytest.approx(
        evaluate_model(model, processor, examples), abs=1e-9
    )


def test_a_model_in_training_goes_on_training(model, processor, examples):
    expected = evaluate_model(model, processor, examples[:1])
    model.train()
    model.vision_encoder.eval()
    try:
        assert evaluate_model(model, processor, examples[:1]) == expected
        assert model.training
        assert not model.vision_encoder.training
    finally:
        model.eval()


def test_example_boxes_reach_the_model(model, processor, examples):
    image = examples[0].image
    box = np.array([[5, 5, 40, 40]], np.float32)
    plain, boxed = nothing("ear"), PromptExample("ear", np.zeros((0, 4)), None, None, box, np.array([1]))
    with torch.no_grad():
        alone, both = predict(model, processor, [ImageExample(image, (plain, boxed))])
        (text,) = predict(model, processor, [ImageExample(image, (plain,))])
    np.testing.assert_allclose(alone.scores, text.scores, atol=2e-5)
    assert len(both.scores) != len(text.scores) or abs(both.scores - text.scores).max() > 1e-3


def test_prompts_with_a_missing_mask_count_for_boxes_alone(model, processor, examples):
    first, second = examples[0].prompts[0], examples[1].prompts[0]
    valid = np.ones(len(first.masks), bool)
    valid[0] = False
    half = PromptExample("nose", first.boxes_xyxy_px, first.masks, valid)
    mixed = [ImageExample(examples[0].image, (half,)), ImageExample(examples[1].image, (second,))]
    scores = evaluate_model(model, processor, mixed)
    assert (scores["segm_datapoints"], scores["bbox_datapoints"]) == (1, 2)


def test_boxes_alone_need_no_masks(model, processor, examples):
    prompt = PromptExample("nose", examples[0].prompts[0].boxes_xyxy_px)
    only_boxes = [ImageExample(examples[0].image, (prompt,))]
    scores = evaluate_model(model, processor, only_boxes, iou_types=["bbox"])
    assert scores["bbox_pmF1"] == pytest.approx(1, abs=1e-3)
    assert not [name for name in scores if name.startswith("segm")]
    with pytest.raises(ValueError, match=r'pass iou_types=\["bbox"\]'):
        evaluate_model(model, processor, only_boxes)


def test_no_examples_are_refused(model, processor):
    with pytest.raises(ValueError, match="at least one example"):
        evaluate_model(model, processor, [])
    with pytest.raises(ValueError, match="at least one item; got 0"):
        evaluate_model(model, processor, [], images_at_once=0)
