"""Fine-tuning from beginning to end.

recipe -> data, model -> frozen or with adapters -> Trainer -> the best weights as a folder for from_pretrained
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import PartialState
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed

from sam3_hf.datasets.coco import CocoDataset
from sam3_hf.evaluation.datapoints import IouType
from sam3_hf.loading import load
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.training.adapters import add_lora, merge
from sam3_hf.training.augmentation import Augmentation, AugmentedExamples
from sam3_hf.training.collator import Sam3Collator
from sam3_hf.training.measuring import Measure
from sam3_hf.training.parameters import freeze
from sam3_hf.training.recipe import Recipe
from sam3_hf.training.trainer import Sam3Trainer


class FinetuningResult(NamedTuple):
    """Where the model is, and what the last evaluation says of it; no metrics without images to evaluate with."""

    folder: Path
    metrics: dict[str, float]


class EvaluateAtEnd(TrainerCallback):
    """The last step is evaluated, too, whatever the interval."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask for it."""
        if state.global_step >= state.max_steps and args.eval_strategy != "no":
            control.should_evaluate = control.should_save = True


def finetune(recipe: Recipe, resume: bool = False) -> FinetuningResult:
    """Fine-tune a model, or go on where a run was interrupted.

    Args:
        recipe: What to do; for a resumed run the same as before.
        resume: Go on from the last checkpoint in the output folder.

    Raises:
        ValueError: Something of the recipe or the data cannot be used; nothing was written.
    """
    recipe.check(resume)
    PartialState(cpu=recipe.cpu).wait_for_everyone()  # so that no process finds the folder in use by another
    train = recipe.train_data()
    valid = recipe.valid_data(train.masks)
    checkpoint = last_checkpoint(recipe.checkpoints) if resume else None
    set_seed(recipe.seed)
    loaded = load(recipe.model, "float32")
    model = _prepared(loaded.model, recipe, train.masks)
    trainer = _trainer(recipe, model, loaded.processor, train, valid)
    if trainer.is_world_process_zero():
        recipe.checkpoints.mkdir(parents=True, exist_ok=True)
        (recipe.checkpoints / "recipe.json").write_text(json.dumps(recipe.to_dict(), indent=2) + "\n")
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.is_world_process_zero():
        _save(trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False), loaded.processor, recipe)
    PartialState().wait_for_everyone()
    metrics = _last_evaluation(recipe, valid)
    if trainer.is_world_process_zero() and metrics:
        (recipe.output / "eval_results.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return FinetuningResult(recipe.output, metrics)


def last_checkpoint(folder: Path) -> str:
    """The last checkpoint that was written to its end.

    Raises:
        ValueError: There is none.
    """
    # The state is the last file that the Trainer writes, but for what callbacks add.
    found = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json") if _is_whole(path)]
    if not found:
        raise ValueError(f"{folder} holds no finished checkpoint to resume from; remove the folder and start again.")
    return str(max(found, key=lambda path: int(path.name.rpartition("-")[2])))


def _is_whole(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def _prepared(model: Any, recipe: Recipe, masks: bool) -> nn.Module:
    """What is to learn can learn."""
    if recipe.checkpointing:
        # Older versions of transformers know it by another name.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    if recipe.lora:
        return add_lora(model, recipe.lora, recipe.lora_rank)
    freeze(model, recipe.preset, masks)
    return model


def _trainer(
    recipe: Recipe, model: nn.Module, processor: Sam3Processor, train: CocoDataset, valid: CocoDataset | None
) -> Sam3Trainer:
    side = processor.image_processor.size["height"]
    negatives = None if recipe.negatives < 0 else recipe.negatives
    augmentation = Augmentation(
        side, recipe.augment, negatives, visual_probability=recipe.visual_probability, shake_boxes=recipe.augment
    )
    metric = None if valid is None else f"{_kinds(valid)[0]}_{'cgF1' if valid.has_negatives else 'pmF1'}"
    return Sam3Trainer(
        model,
        recipe.arguments(len(train), metric),
        train_dataset=AugmentedExamples(train, augmentation, recipe.seed),
        eval_dataset=valid,
        data_collator=Sam3Collator(processor, train.masks, recipe.mask_size),
        measure=None if valid is None else Measure(processor, _kinds(valid)),
        callbacks=[EvaluateAtEnd()],
    )


def _kinds(valid: CocoDataset) -> tuple[IouType, ...]:
    return ("segm", "bbox") if valid.masks and valid.has_masks else ("bbox",)


def _save(model: Any, processor: Sam3Processor, recipe: Recipe) -> None:
    """The whole model; adapters also on their own."""
    if recipe.lora:
        model.save_pretrained(recipe.output / "adapter")
    merge(model).save_pretrained(recipe.output)
    processor.save_pretrained(recipe.output)


def _last_evaluation(recipe: Recipe, valid: CocoDataset | None) -> dict[str, float]:
    """Metrics of the folder that was written, as anyone would load it."""
    if valid is None:
        return {}
    loaded = load(recipe.output, "float32", PartialState().device or "cpu")
    return Measure(loaded.processor, _kinds(valid))(loaded.model, valid)
