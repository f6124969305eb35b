from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.support.training import NOTHING, squares

from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.training.augmentation import Augmentation, AugmentedExamples


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def extent(mask: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("seed", range(4))
def test_image_boxes_and_masks_move_together(seed: int) -> None:
    example = Augmentation(336)(squares(1)[0], chance(seed))
    assert example.image.size == (336, 336)
    prompt = example.prompts[0]
    (box,) = prompt.boxes_xyxy_px.tolist()
    assert extent(prompt.masks[0]) == pytest.approx(box, abs=1)
    red = np.asarray(example.image).astype(int)
    assert extent(red[..., 0] - red[..., 1] > 80) == pytest.approx(box, abs=2)


def test_sides_are_steps_of_the_original_and_the_rest_is_black() -> None:
    white = ImageExample(Image.new("RGB", (70, 30), "white"), (PromptExample("cat", NOTHING),))
    augment = Augmentation(1008)
    corners = [extent(np.asarray(augment(white, chance(seed)).image)[..., 0] > 0) for seed in range(30)]
    sides = {right - left for left, _, right, _ in corners}
    assert sides <= set(range(480, 1024, 32)) - {1008}
    assert len(sides) > 8
    assert all(right - left == bottom - top for left, top, right, bottom in corners)
    assert len({left for left, *_ in corners}) > 20


def test_some_negatives_are_kept_and_every_positive() -> None:
    negatives = tuple(PromptExample(f"no {number}", NOTHING) for number in range(6))
    example = replace(squares(1)[0], prompts=negatives[:3] + squares(1)[0].prompts[:1] + negatives[3:])
    seen = [Augmentation(336, negatives=2)(example, chance(seed)).prompts for seed in range(20)]
    assert {len(prompts) for prompts in seen} == {3}
    assert all("red square" in [prompt.text for prompt in prompts] for prompts in seen)
    assert {prompt.text for prompts in seen for prompt in prompts} == {"red square", *(p.text for p in negatives)}


def test_a_prompt_always_remains() -> None:
    nothing = replace(squares(1)[0], prompts=squares(1)[0].prompts[1:])
    assert len(Augmentation(336, negatives=0)(nothing, chance()).prompts) == 1


def test_prompts_with_too_many_objects_are_left_out() -> None:
    prompts = Augmentation(336, most_objects=0)(squares(1)[0], chance()).prompts
    assert [prompt.text for prompt in prompts] == ["blue square"]


@pytest.mark.parametrize(("keep_text", "text"), [(True, "red square"), (False, "visual")])
def test_an_object_becomes_an_example_of_itself_and_stays_a_target(keep_text: bool, text: str) -> None:
    augment = Augmentation(336, resize=False, visual_probability=1, keep_text=keep_text)
    red, blue = augment(squares(1)[0], chance()).prompts
    assert red.text == text
    assert red.example_boxes_xyxy_px.tolist() == red.boxes_xyxy_px.tolist()
    assert red.example_labels.tolist() == [1]
    assert len(blue.example_boxes_xyxy_px) == 0
    assert blue.text == "blue square"


def test_example_boxes_shake_within_the_image_and_the_limits() -> None:
    plain, shaken = (Augmentation(336, False, visual_probability=1, shake_boxes=shake) for shake in (False, True))
    (before,), moves = plain(squares(1)[0], chance()).prompts[0].example_boxes_xyxy_px, []
    for seed in range(50):
        example = shaken(squares(1)[0], chance(seed))
        (box,) = example.prompts[0].example_boxes_xyxy_px
        moves.append(box - before)
        assert (box >= 0).all()
        assert (box <= 90).all()
        assert (box[2:] > box[:2]).all()
        assert example.prompts[0].boxes_xyxy_px.tolist() == [before.tolist()]
    assert 1 < np.std(moves) < 6
    assert np.abs(moves).max() <= 20


def test_an_epoch_repeats_and_the_next_one_differs() -> None:
    examples = AugmentedExamples(squares(2), Augmentation(336))
    first, again = (np.asarray(examples[0].image) for _ in range(2))
    assert (first == again).all()
    examples.set_epoch(1)
    assert (first != np.asarray(examples[0].image)).any()
    assert len(examples) == 2
