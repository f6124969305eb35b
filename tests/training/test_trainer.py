from pathlib import Path

import pytest
import torch
from tests.support.folders import finding_model, tiny_processor
from tests.support.training import squares
from transformers import Trainer

from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.training.arguments import Sam3TrainingArguments
from sam3_hf.training.averaging import FILE
from sam3_hf.training.collator import Sam3Collator
from sam3_hf.training.parameters import freeze
from sam3_hf.training.trainer import Sam3Trainer


@pytest.fixture(scope="module")
def collator(tmp_path_factory: pytest.TempPathFactory) -> Sam3Collator:
    return Sam3Collator(tiny_processor(tmp_path_factory.mktemp("processor")), mask_size=48)


def arguments(folder: Path, **options: object) -> Sam3TrainingArguments:
    quiet = {"use_cpu": True, "report_to": [], "disable_tqdm": True, "logging_steps": 1, "save_strategy": "no"}
    return Sam3TrainingArguments(output_dir=str(folder), **quiet | {"max_steps": 2, "warmup_steps": 0} | options)


def test_steps_are_taken_and_loss_terms_logged(collator: Sam3Collator, tmp_path: Path) -> None:
    model = finding_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = Sam3Trainer(model, arguments(tmp_path), squares(4), data_collator=collator)
    trainer.train()
    line = trainer.state.log_history[0]
    assert {"loss", "loss_bbox", "loss_giou", "loss_ce", "presence_loss", "loss_mask", "loss_dice"} <= line.keys()
    assert not [name for name in line if "_aux_" in name]
    changed = {name.partition(".")[0] for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert changed == {name.partition(".")[0] for name in before}


def test_evaluation_gives_the_loss_and_what_is_measured(collator: Sam3Collator, tmp_path: Path) -> None:
    options = {"args": arguments(tmp_path), "data_collator": collator, "eval_dataset": squares(2)}
    trainer = Sam3Trainer(finding_model(), **options, measure=lambda model, examples: {"images": float(len(examples))})
    metrics = trainer.evaluate()
    assert metrics["eval_images"] == 2
    with torch.no_grad():
        losses = [finding_model().eval()(**collator([example])).loss.item() for example in squares(2)]
    assert metrics["eval_loss"] == pytest.approx(sum(losses) / 2, rel=1e-4)


def test_the_plain_trainer_trains_and_evaluates_too(collator: Sam3Collator, tmp_path: Path) -> None:
    options = {"train_dataset": squares(4), "eval_dataset": squares(2), "data_collator": collator}
    trainer = Trainer(finding_model(), arguments(tmp_path, lr_scheduler_type="constant"), **options)
    assert trainer.train().global_step == 2
    assert trainer.evaluate()["eval_loss"] > 0


def test_accumulated_batches_make_one_step_and_count_alike(collator: Sam3Collator, tmp_path: Path) -> None:
    """Without dropout, the same image twice in one step is that image alone."""
    norms = []
    for accumulate in (1, 2):
        model = finding_model()
        model.train = lambda mode=True, model=model: model
        options = {"gradient_accumulation_steps": accumulate, "per_device_train_batch_size": 1, "max_steps": 1}
        trainer = Sam3Trainer(model, arguments(tmp_path, **options), squares(1) * 2, data_collator=collator)
        trainer.train()
        norms.append(trainer.state.log_history[0]["grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_checkpointed_activations_give_the_same_gradients(collator: Sam3Collator) -> None:
    batch, gradients = collator(squares(1)), []
    for checkpointing in (False, True):
        model = finding_model().train()
        if checkpointing:
            enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
            enable({"use_reentrant": False})
        torch.manual_seed(0)
        model(**batch).loss.backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(checkpointed, plain, rtol=1e-3, atol=1e-4 * float(plain.abs().max()) + 1e-9)


def test_what_is_frozen_stays(collator: Sam3Collator, tmp_path: Path) -> None:
    model = finding_model()
    freeze(model, "head")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Sam3Trainer(model, arguments(tmp_path), squares(4), data_collator=collator).train()
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert changed
    assert changed <= {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_boxes_alone_train_everything_but_masks(collator: Sam3Collator, tmp_path: Path) -> None:
    model = finding_model()
    freeze(model, "all", masks=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Sam3Trainer(model, arguments(tmp_path), squares(4, masks=False), data_collator=collator).train()
    changed = {name.partition(".")[0] for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert {"vision_encoder", "detr_decoder"} <= changed
    assert "mask_decoder" not in changed


def test_the_average_is_evaluated_kept_and_left(collator: Sam3Collator, tmp_path: Path) -> None:
    seen = []

    def measure(model: Sam3Model, examples: object) -> dict[str, float]:
        seen.append(model.detr_decoder.query_embed.weight.detach().clone())
        return {"nothing": 0.0}

    saving = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 2, "ema_decay": 0.5}
    options = {"train_dataset": squares(4), "eval_dataset": squares(1), "data_collator": collator}
    trainer = Sam3Trainer(
        finding_model(), arguments(tmp_path, **saving, learning_rate=1e-3), **options, measure=measure
    )
    trainer.train()
    checkpoint = tmp_path / "checkpoint-2"
    assert (checkpoint / FILE).is_file()
    left = trainer.model.detr_decoder.query_embed.weight
    trained = Sam3Model.from_pretrained(checkpoint).detr_decoder.query_embed.weight
    torch.testing.assert_close(left, seen[0], rtol=0, atol=0)
    assert (left - trained).abs().max() > 1e-5


def test_a_resumed_run_without_its_average_is_refused(collator: Sam3Collator, tmp_path: Path) -> None:
    saving = {"save_strategy": "steps", "save_steps": 1}
    Sam3Trainer(finding_model(), arguments(tmp_path, **saving), squares(4), data_collator=collator).train()
    again = arguments(tmp_path, **saving, ema_decay=0.5)
    trainer = Sam3Trainer(finding_model(), again, squares(4), data_collator=collator)
    with pytest.raises(ValueError, match="the run to resume had no average"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))


def test_an_infinite_loss_stops_the_run_and_names_its_terms(collator: Sam3Collator, tmp_path: Path) -> None:
    model = finding_model()
    torch.nn.init.constant_(model.detr_decoder.presence_head.layer3.bias, float("nan"))
    trainer = Sam3Trainer(model, arguments(tmp_path), squares(4), data_collator=collator)
    with pytest.raises(FloatingPointError, match=r"loss of step 0 is nan; its terms are .*presence_loss"):
        trainer.train()
