"""The tracker learns: stills and clips, gradients, repetition, and the Trainer around it."""

from pathlib import Path

import pytest
import torch
from tests.support.tracking import moving_squares, small_tracker, tracker_processor
from tests.support.training import squares

from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.training.arguments import Sam3TrainingArguments
from sam3_hf.training.rehearsal import RehearsalPlan
from sam3_hf.training.tracking import TrackerLearner, frozen
from sam3_hf.training.tracking_collator import TrackingCollator
from sam3_hf.training.tracking_measures import MeasureTracking
from sam3_hf.training.trainer import Sam3Trainer

COLLATOR = TrackingCollator(tracker_processor().image_processor, mask_size=32)
# Parts that clips alone teach.
MEMORY = ("memory_", "mask_downsample.", "object_pointer_proj.", "temporal_", "no_object_pointer", "occlusion_")
PARTS_OF_MULTIMASK = "mask_decoder.output_hypernetworks_mlps."
# What is put in place of an object that the tracker takes to be out of sight.
ABSENT = {"no_object_pointer", "occlusion_spatial_embedding_parameter"}


def learner(**plan: object) -> TrackerLearner:
    return TrackerLearner(small_tracker(), RehearsalPlan(**{"steps": 2} | plan)).train()


def taught(model: TrackerLearner, batch: dict, seeds: range = range(1)) -> set[str]:
    """Names of the parameters that get a gradient from any of these seeds."""
    names = set()
    for seed in seeds:
        model.zero_grad()
        loss = model(**batch | {"seed": seed})["loss"]
        assert loss.isfinite()
        loss.backward()
        named = model.tracker.named_parameters()
        names |= {name for name, parameter in named if parameter.grad is not None and parameter.grad.any()}
    return names


def learning(model: TrackerLearner) -> set[str]:
    return {name for name, parameter in model.tracker.named_parameters() if parameter.requires_grad}


def test_clicks_and_boxes_on_stills_teach_all_but_the_memory() -> None:
    names = set()
    for share in (0.0, 1.0):
        names |= taught(learner(box_share=share, steps=3), COLLATOR(squares(2)))
    expected = {name for name in learning(learner()) if not name.startswith(MEMORY)}
    # Of the masks for unclear prompts, only those learn that are the best for some object.
    assert {name for name in expected - names if not name.startswith(PARTS_OF_MULTIMASK)} == set()
    assert not {name for name in names if name.startswith(MEMORY)}


def test_clips_teach_the_memory_through_time() -> None:
    batch = COLLATOR(moving_squares(1, frames=3))
    names = taught(learner(mask_share=0.0), batch) | taught(learner(mask_share=1.0), batch)
    expected = {name for name in learning(learner()) if name.startswith(MEMORY)}
    assert expected - names == ABSENT


def test_objects_that_seem_absent_teach_what_stands_for_them() -> None:
    model = learner(mask_share=0.0)
    torch.nn.init.constant_(model.tracker.mask_decoder.pred_obj_score_head.proj_out.bias, -5)
    assert taught(model, COLLATOR(moving_squares(1, frames=3, hidden=True))) >= ABSENT


def test_what_cannot_learn_stays() -> None:
    model = learner()
    names = {name for name, _ in model.tracker.named_parameters()} - learning(model)
    parts = ("vision_encoder.backbone.", "vision_encoder.neck.fpn_layers.3.", "no_memory_positional_encoding")
    assert names == {name for name, _ in model.tracker.named_parameters() if name.startswith(parts)}
    assert sum(parameter.numel() for parameter in frozen(model.tracker)) > 0
    assert not model.tracker.vision_encoder.backbone.training
    assert model.tracker.vision_encoder.neck.training


def test_gradients_go_back_only_so_many_frames() -> None:
    """The pointer of a mask reaches answers through memory alone."""
    batch = COLLATOR(moving_squares(1, frames=4))
    reached = {}
    for frames in (1, 2):
        model = learner(mask_share=1.0, gradient_frames=frames)
        reached[frames] = taught(model, batch) & {"mask_downsample.weight", "memory_encoder.projection.weight"}
    assert reached == {1: set(), 2: {"mask_downsample.weight", "memory_encoder.projection.weight"}}


def test_a_seed_gives_the_same_loss_and_gradients_to_the_last_bit() -> None:
    batch, seen = COLLATOR(moving_squares(1)), []
    for _ in range(2):
        model = learner()
        loss = model(**batch)["loss"]
        loss.backward()
        seen.append((loss.detach(), [p.grad for p in model.parameters() if p.grad is not None]))
    (one, first), (other, second) = seen
    assert one.equal(other)
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))


def test_objects_of_a_batch_learn_apart() -> None:
    """An object's answers do not depend on the others."""
    batch = COLLATOR(squares(2))
    plan = RehearsalPlan(steps=1, box_share=0.0, centre_share=1.0)
    with torch.no_grad():
        model = TrackerLearner(small_tracker(), plan)
        together = model(**batch)["loss"]
        apart = [
            model(batch["pixel_values"][row : row + 1], torch.tensor([0]), batch["labels"][row : row + 1])["loss"]
            for row in range(2)
        ]
    torch.testing.assert_close(together, torch.stack(apart).mean(), rtol=1e-4, atol=1e-5)


def test_the_loss_halves_on_a_clip_seen_again_and_again() -> None:
    model, batch = learner(mask_share=0.0, box_share=1.0, corrected_frames=1), COLLATOR(moving_squares(1))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = model(**batch)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_the_trainer_trains_measures_and_leaves_a_model(tmp_path: Path) -> None:
    processor, model = tracker_processor(), learner()
    before = {name: value.clone() for name, value in model.tracker.state_dict().items()}
    arguments = Sam3TrainingArguments(
        output_dir=str(tmp_path / "run"), max_steps=1, warmup_steps=0, learning_rate=1e-3, logging_steps=1,
        use_cpu=True, report_to=[], disable_tqdm=True, save_strategy="no", eval_strategy="steps", eval_steps=1,
    )  # fmt: skip
    trainer = Sam3Trainer(
        model, arguments, moving_squares(2, frames=2), moving_squares(1, frames=3), COLLATOR,
        measure=MeasureTracking(processor, also=squares(1)),
    )  # fmt: skip
    trainer.train()
    terms, metrics = trainer.state.log_history[0], trainer.state.log_history[1]
    assert {"loss", "loss_mask", "loss_dice", "loss_iou", "loss_occlusion"} <= terms.keys()
    assert metrics["eval_loss"] > 0
    scores = ("iou_1", "iou_3", "iou_5", "iou_box", "jf_mask", "jf_click")
    assert all(0 <= metrics[f"eval_{name}"] <= 1 for name in scores)
    model.tracker.save_pretrained(tmp_path / "tracker")
    after = Sam3TrackerVideoModel.from_pretrained(tmp_path / "tracker").state_dict()
    changed = {name for name, value in after.items() if not value.equal(before[name])}
    assert "memory_encoder.projection.weight" in changed
    assert not {name for name in changed if "backbone" in name}


def test_a_run_that_goes_on_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    ends = []
    for steps in ([2], [1, 2]):
        folder = tmp_path / str(len(steps))
        for number, most in enumerate(steps):
            arguments = Sam3TrainingArguments(
                output_dir=str(folder), max_steps=most, warmup_steps=0, lr_scheduler_type="constant", save_steps=1,
                use_cpu=True, report_to=[], disable_tqdm=True, ema_decay=0.9,
            )  # fmt: skip
            model = learner()
            Sam3Trainer(model, arguments, squares(4), data_collator=COLLATOR).train(
                resume_from_checkpoint=str(folder / "checkpoint-1") if number else None
            )
        ends.append(model.state_dict())
    assert all(value.equal(ends[1][name]) for name, value in ends[0].items())


def test_labels_that_do_not_fit_are_refused() -> None:
    model, batch = learner(), COLLATOR(squares(1))
    with pytest.raises(ValueError, match="Pass pixel_values"):
        model(**batch | {"pixel_values": batch["pixel_values"][:, 0]})
    with pytest.raises(ValueError, match="labels are masks, bool"):
        model(**batch | {"labels": batch["labels"].float()})
    with pytest.raises(ValueError, match="must be seen on the first frame"):
        model(**batch | {"labels": torch.zeros_like(batch["labels"])})


def test_a_tracker_without_a_vit_is_refused() -> None:
    with pytest.raises(ValueError, match="has no vision encoder"):
        TrackerLearner(Sam3TrackerVideoModel(small_tracker().config, remove_vision_encoder=True))


@pytest.mark.parametrize("plan", [{"steps": 0}, {"box_share": 1.5}, {"gradient_frames": 0}])
def test_a_plan_that_cannot_be_played_is_refused(plan: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(plan))):
        RehearsalPlan(**plan)
