from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from sam3_hf.processing_sam3_tracker import Sam3TrackerProcessor
from tests.support import tracker_golden as recorded


@pytest.fixture
def processor() -> Sam3TrackerProcessor:
    return recorded.tiny_processor()


@pytest.fixture
def image() -> Image.Image:
    with Image.open(recorded.IMAGE) as opened:
        return opened.convert("RGB")


def prompts_of(name: str) -> dict[str, list]:
    case = recorded.CASES[name]
    given = {"input_points": "points", "input_labels": "labels", "input_boxes": "boxes"}
    return {argument: [case[key]] for argument, key in given.items() if key in case}


@pytest.mark.parametrize("name", recorded.CASES)
def test_inputs_equal_the_original(name: str, processor: Sam3TrackerProcessor, image: Image.Image) -> None:
    inputs = processor(image, **prompts_of(name), return_tensors="pt")
    expected = {key: value for key, value in recorded.case(name).inputs.items() if key != "input_masks"}
    assert inputs.pop("original_sizes").tolist() == [list(recorded.SIZE)]
    assert set(inputs) == set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(inputs[key], value, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", recorded.CASES)
def test_masks_at_image_size_equal_the_original(name: str, processor: Sam3TrackerProcessor) -> None:
    expected = recorded.case(name).outputs
    for key, options in (("masks_original_size", {"max_hole_area": 0}), ("masks_original_size_holes_filled", {})):
        masks = processor.post_process_masks(expected["low_res_masks"][None], [recorded.SIZE], **options)[0]
        assert masks.dtype == torch.bool
        assert masks.view(expected[key].shape).equal(expected[key].bool())


@pytest.mark.parametrize("name", ["point", "box", "two_objects_points"])
def test_the_whole_road_equals_the_original(name: str, processor: Sam3TrackerProcessor, image: Image.Image) -> None:
    case = recorded.case(name)
    inputs = processor(image, **prompts_of(name), return_tensors="pt")
    with torch.no_grad():
        outputs = recorded.shared_model()(**inputs, multimask_output=case.several)
    masks = processor.post_process_masks(outputs.pred_masks, inputs["original_sizes"])[0]
    expected = case.outputs["masks_original_size_holes_filled"].bool()
    assert (masks.view(expected.shape) != expected).float().mean() < 0.001


@pytest.mark.parametrize("form", [list, np.array, torch.tensor])
def test_lists_arrays_and_tensors_say_the_same(form: type, processor: Sam3TrackerProcessor) -> None:
    points, labels, boxes = [[[[10.0, 20.0]]]], [[[0]]], [[[5.0, 6, 70, 80]]]
    inputs = processor(
        input_points=form(points),
        input_labels=form(labels),
        input_boxes=form(boxes),
        original_sizes=[(168, 336)],
        return_tensors="pt",
    )
    assert inputs["input_points"].tolist() == [[[[5.0, 20.0]]]]
    assert inputs["input_labels"].tolist() == [[[0]]]
    assert inputs["input_boxes"].tolist() == [[[2.5, 6.0, 35.0, 80.0]]]


def test_the_processor_equals_that_of_transformers(processor: Sam3TrackerProcessor) -> None:
    theirs = transformers.Sam3TrackerProcessor(processor.image_processor)
    prompts = {
        "input_points": [[[[10, 20], [30, 40]], [[50, 60]]], [[[1, 2]], [[3, 4], [5, 6]]]],
        "input_labels": [[[1, 0], [1]], [[1], [0, 0]]],
        "input_boxes": [[[5, 6, 70, 80]] * 2] * 2,
        "original_sizes": [[150, 200], [90, 60]],
    }
    ours = processor(**prompts, return_tensors="pt")
    expected = theirs(**prompts, return_tensors="pt")
    assert ours["input_labels"].equal(expected["input_labels"])
    torch.testing.assert_close(ours["input_points"], expected["input_points"])
    torch.testing.assert_close(ours["input_boxes"], expected["input_boxes"])


def test_images_may_differ_in_size_and_in_what_is_said_of_them(
    processor: Sam3TrackerProcessor, image: Image.Image
) -> None:
    inputs = processor(
        [image, image.resize((60, 90))],
        input_points=[[[[10, 20], [30, 40]], None], [[[60, 90]]]],
        input_boxes=[[None, [1, 2, 3, 4]], [[0, 0, 60, 90]]],
        return_tensors="pt",
    )
    assert inputs["input_labels"].tolist() == [[[1, 1], [-10, -10]], [[1, -10], [-10, -10]]]
    assert inputs["input_points"][1, 0, 0].tolist() == [168, 168]
    assert inputs["input_boxes"][1].tolist() == [[0, 0, 168, 168], [-10] * 4]
    with torch.no_grad():
        outputs = recorded.shared_model()(**inputs)
    masks = processor.post_process_masks(outputs.pred_masks, inputs["original_sizes"])
    assert [tuple(mask.shape) for mask in masks] == [(2, 3, 150, 200), (2, 3, 90, 60)]


def test_an_image_without_prompts_may_stand_beside_others(processor: Sam3TrackerProcessor) -> None:
    inputs = processor(input_points=[None, [[[5, 5]]]], original_sizes=[(10, 10)] * 2, return_tensors="pt")
    assert inputs["input_labels"].tolist() == [[[-10]], [[1]]]


def test_padding_can_be_passed_and_stays(processor: Sam3TrackerProcessor) -> None:
    inputs = processor(
        input_points=[[[[5, 5], [-10, -10]]]], input_boxes=[[[-10] * 4]], original_sizes=[(10, 10)], return_tensors="pt"
    )
    assert inputs["input_labels"].tolist() == [[[1, -10]]]
    assert inputs["input_points"][0, 0, 1].tolist() == [-10, -10]
    assert inputs["input_boxes"].tolist() == [[[-10] * 4]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Pass images, or the original_sizes"),
        ({"original_sizes": [(9, 9)], "input_labels": [[[1]]]}, "input_labels without input_points"),
        ({"original_sizes": [(9, 9)], "input_points": [[[[9.5, 3]]]]}, r"Point \(9.5, 3\) lies outside of image 0"),
        ({"original_sizes": [(9, 9)] * 2, "input_points": [[[[1, 3]]]]}, "one entry per image: 2; got 1"),
    ],
)
def test_what_cannot_be_is_refused(processor: Sam3TrackerProcessor, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        processor(**arguments)


def test_unknown_keywords_and_other_sizes_are_refused(processor: Sam3TrackerProcessor, image: Image.Image) -> None:
    with pytest.raises(TypeError, match="do_resize"):
        processor(original_sizes=[(9, 9)], do_resize=False)
    with pytest.raises(ValueError, match="leave it out"):
        processor(image, original_sizes=[(9, 9)])


def test_it_loads_from_its_own_folder_and_from_a_whole_model(tmp_path: Path) -> None:
    (tmp_path / "released").mkdir()
    recorded.write_released(tmp_path / "released")
    recorded.tiny_processor().save_pretrained(tmp_path / "own")
    for folder in ("released", "own"):
        loaded = Sam3TrackerProcessor.from_pretrained(tmp_path / folder)
        assert loaded.target_size == 168
        assert loaded.image_processor.size == {"height": 168, "width": 168}
        assert "input_points" in loaded.model_input_names
