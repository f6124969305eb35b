import json

import pytest
import torch
from pycocotools import mask as coco

from sam3_hf.ops.masks import decode_rle
from sam3_hf.results import CodedInstance, ExampleBox, ImageSegmentation, Instance, Prompt, PromptResult


@pytest.fixture
def instance():
    mask = torch.zeros(20, 30, dtype=torch.bool)
    mask[5:9, 10:17] = True
    return Instance(0.87654321, (-1.00004, 5.0, 17.25, 9.5), mask)


def test_the_dictionary_is_json_and_complete(instance):
    boxed = Prompt("ear", (ExampleBox(1, 2, 3, 4, positive=False),))
    results = [PromptResult(boxed, [instance]), PromptResult(Prompt(None, (ExampleBox(0, 0, 9, 9),)), [])]
    values = json.loads(json.dumps(ImageSegmentation((20, 30), results).to_dict()))
    assert values["size"] == [20, 30]
    first, second = values["prompts"]
    assert first["text"] == "ear"
    assert first["boxes"] == [{"box": [1, 2, 3, 4], "positive": False}]
    assert first["objects"] == [{"score": 0.876543, "box": [-1.0, 5.0, 17.25, 9.5], "area": 28, "mask": instance.rle()}]
    assert second == {"text": None, "boxes": [{"box": [0, 0, 9, 9], "positive": True}], "objects": []}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools and NumPy 2
def test_masks_are_read_by_pycocotools(instance):
    code = instance.rle()
    assert torch.from_numpy(coco.decode(code).astype(bool)).equal(instance.mask)
    assert decode_rle(code).equal(instance.mask)
    assert coco.area(code) == instance.area == 28


def test_a_prompt_of_boxes_alone_has_a_name():
    assert Prompt(None).label == "example"
    assert Prompt("ear").label == "ear"


def test_an_instance_that_holds_a_code_says_the_same(instance):
    coded = CodedInstance(instance.score, instance.box_xyxy_px, instance.rle())
    assert coded.mask.equal(instance.mask)
    assert (coded.area, coded.rle()) == (28, instance.rle())
    dense, codes = (ImageSegmentation((20, 30), [PromptResult(Prompt("ear"), [one])]) for one in (instance, coded))
    assert codes.to_dict() == dense.to_dict()
