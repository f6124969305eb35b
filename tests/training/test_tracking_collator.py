import numpy as np
import pytest
import torch
from tests.support.tracking import SIDE, moving_squares, tracker_processor
from tests.support.training import squares

from sam3_hf.datasets.examples import ImageExample
from sam3_hf.training.tracking_collator import TrackingCollator, WithObjects, objects_of

IMAGES = tracker_processor().image_processor


def test_stills_are_clips_of_one_frame() -> None:
    batch = TrackingCollator(IMAGES)(squares(3))
    assert batch["pixel_values"].shape == (3, 1, 3, SIDE, SIDE)
    assert batch["labels"].shape == (3, 1, SIDE, SIDE)
    assert batch["image_index"].tolist() == [0, 1, 2]


def test_objects_are_seen_on_the_first_frame() -> None:
    clips, hidden = moving_squares(4, frames=5, hidden=True), 0
    for seed in range(6):
        batch = TrackingCollator(IMAGES, frames=3, mask_size=32, seed=seed)(clips)
        assert batch["labels"].shape[1:] == (3, 32, 32)
        seen = batch["labels"].flatten(2).any(2)
        assert seen[:, 0].all()
        hidden += int((~seen).sum())
    assert hidden


def test_labels_show_their_object_where_it_is() -> None:
    batch = TrackingCollator(IMAGES, reverse_share=0, objects=1)(moving_squares(1))
    inside = batch["pixel_values"][0].movedim(1, -1)[batch["labels"][0]].mean(0)
    assert inside[0] > 0.6 or inside[1] > 0.4  # red or green


def test_some_clips_run_backwards() -> None:
    forward, backward = (
        TrackingCollator(IMAGES, reverse_share=share)(moving_squares(1))["pixel_values"] for share in (0, 1)
    )
    assert forward.flip(1).equal(backward)


def test_the_same_examples_give_the_same_batch() -> None:
    once, again = (TrackingCollator(IMAGES, objects=1, frames=2)(moving_squares(3)) for _ in range(2))
    assert once.keys() == again.keys()
    assert all(torch.equal(torch.as_tensor(once[name]), torch.as_tensor(again[name])) for name in once)
    assert TrackingCollator(IMAGES, seed=1)(moving_squares(3))["seed"] != once["seed"]


def test_an_object_of_several_prompts_is_one() -> None:
    example = squares(1)[0]
    twice = ImageExample(example.image, (*example.prompts, *example.prompts))
    assert len(objects_of(twice)) == 1


def test_examples_without_objects_are_left_out_or_passed_over() -> None:
    full = squares(2)
    empty = ImageExample(full[0].image, full[0].prompts[1:])
    assert TrackingCollator(IMAGES)([empty, full[1]])["labels"].shape[0] == 1
    with pytest.raises(ValueError, match="No example of this batch has an object"):
        TrackingCollator(IMAGES)([empty])
    assert WithObjects([full[0], empty, full[1]])[1] is full[1]
    with pytest.raises(ValueError, match="No example of this dataset"):
        WithObjects([empty])[0]


def test_clips_of_other_lengths_and_other_numbers_are_refused() -> None:
    collator = TrackingCollator(IMAGES)
    with pytest.raises(ValueError, match=r"need one length, got \[2, 3\]"):
        collator([*moving_squares(1, frames=2), *moving_squares(1, frames=3)])
    with pytest.raises(ValueError, match="has 3 frames, fewer than the 4 asked for"):
        TrackingCollator(IMAGES, frames=4)(moving_squares(1))
    with pytest.raises(ValueError, match="at least one object and one frame"):
        TrackingCollator(IMAGES, objects=0)


def test_masks_that_vanish_at_the_size_of_the_labels_are_left_out() -> None:
    clips = moving_squares(1)
    clips[0].masks[:, 0] = False
    clips[0].masks[:, 0, 0, 0] = True
    batch = TrackingCollator(IMAGES, mask_size=8)(clips)
    assert len(batch["labels"]) == 1
    assert np.isin(batch["image_index"], 0).all()
