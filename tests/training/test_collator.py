from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support.folders import finding_model, tiny_processor
from tests.support.training import NOTHING, squares

from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.training.collator import Sam3Collator


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Sam3Processor:
    return tiny_processor(tmp_path_factory.mktemp("processor"))


def one(prompt: PromptExample, size: tuple[int, int] = (100, 50)) -> list[ImageExample]:
    return [ImageExample(Image.new("RGB", (size[1], size[0])), (prompt,))]


def test_a_batch_goes_through_the_model_and_gives_a_loss(processor: Sam3Processor) -> None:
    batch = Sam3Collator(processor)(squares(2))
    assert batch["pixel_values"].shape == (2, 3, 168, 168)
    assert batch["input_ids"].shape == (4, 32)
    assert batch["image_index"].tolist() == [0, 0, 1, 1]
    assert [len(label["boxes"]) for label in batch["labels"]] == [1, 0, 1, 0]
    assert all(label["masks"].shape[1:] == (168, 168) for label in batch["labels"])
    outputs = finding_model()(**batch)
    assert outputs.loss.isfinite()


def test_boxes_are_relative_to_the_image(processor: Sam3Processor) -> None:
    boxes = np.array([[10, 20, 30, 60]], np.float32)
    (label,) = Sam3Collator(processor)(one(PromptExample("cat", boxes)))["labels"]
    assert label["boxes"].tolist() == [pytest.approx([0.4, 0.4, 0.4, 0.4])]
    assert label.keys() == {"boxes"}


def test_masks_come_at_the_size_asked_for_and_fit_their_boxes(processor: Sam3Processor) -> None:
    (label, _) = Sam3Collator(processor, mask_size=(96, 48))(squares(1, side=192))["labels"]
    assert label["masks"].shape == (1, 96, 48)
    assert label["masks"].dtype == torch.bool
    _, _, width, height = (label["boxes"][0] * torch.tensor([48, 96, 48, 96])).tolist()
    assert label["masks"].sum().item() == pytest.approx(width * height, rel=0.15)


def test_without_masks_labels_are_boxes_alone(processor: Sam3Processor) -> None:
    collator = Sam3Collator(processor, masks=False)
    assert {name for label in collator(squares(2))["labels"] for name in label} == {"boxes"}


def test_an_object_without_a_mask_is_marked(processor: Sam3Processor) -> None:
    with_mask, without = squares(2)
    prompt = replace(without.prompts[0], masks=None)
    labels = Sam3Collator(processor)([with_mask, replace(without, prompts=(prompt,))])["labels"]
    assert [label["mask_valid"].tolist() for label in labels] == [[True], [], [False]]
    assert labels[2]["masks"].shape == (1, 168, 168)


def test_objects_too_small_to_see_are_left_out_with_their_masks(processor: Sam3Processor) -> None:
    boxes = np.array([[1, 1, 1, 9], [10, 20, 30, 60]], np.float32)
    masks = np.zeros((2, 100, 50), dtype=bool)
    masks[1, 20:60, 10:30] = True
    valid = np.array([False, True])
    (label,) = Sam3Collator(processor)(one(PromptExample("cat", boxes, masks, valid)))["labels"]
    assert label["boxes"].shape == (1, 4)
    assert label["masks"].shape[0] == 1
    assert label["mask_valid"].tolist() == [True]


def test_example_boxes_are_given_to_the_model(processor: Sam3Processor) -> None:
    examples = np.array([[0, 0, 25, 50]], np.float32)
    prompt = PromptExample("cat", NOTHING, example_boxes_xyxy_px=examples, example_labels=np.array([0]))
    plain = PromptExample("dog", NOTHING)
    batch = Sam3Collator(processor)([replace(one(prompt)[0], prompts=(prompt, plain))])
    assert batch["input_boxes"][0].tolist() == [pytest.approx([0.25, 0.25, 0.5, 0.5])]
    assert batch["input_boxes_labels"].tolist() == [[0], [-10]]
    assert "input_boxes" not in Sam3Collator(processor)(one(plain))


def test_it_can_be_sent_to_worker_processes(processor: Sam3Processor, tmp_path: Path) -> None:
    loader = torch.utils.data.DataLoader(squares(2), 2, collate_fn=Sam3Collator(processor), num_workers=1)
    assert len(next(iter(loader))["labels"]) == 4


def test_a_batch_without_prompts_is_refused(processor: Sam3Processor) -> None:
    with pytest.raises(ValueError, match="every example at least one prompt"):
        Sam3Collator(processor)([ImageExample(Image.new("RGB", (9, 9)), ())])
