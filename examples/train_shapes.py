"""Train the embedded model `shapes`: from random weights to masks of "red circle", on a CPU or a GPU.

    python examples/train_shapes.py OUTPUT

Every picture is drawn by the seeded generator and seen once. The same command goes on with a run that was killed.
"""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import torch
from shapes_vision import DescribedCollator, DescribedShapes, Describer, EveryShape

from sam3_hf import Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor
from sam3_hf.datasets.shapes.dataset import ShapesDataset
from sam3_hf.datasets.shapes.tokenizer import shapes_tokenizer
from sam3_hf.training.arguments import Sam3TrainingArguments
from sam3_hf.training.collator import Sam3Collator
from sam3_hf.training.initialization import initialize
from sam3_hf.training.measuring import Measure
from sam3_hf.training.trainer import Sam3Trainer

SIDE, PATCH = 192, 12
GRID = SIDE // PATCH
STAGES = ("LOOK", "EVERY", "MEANT")
MASK = {"height": 4 * GRID, "width": 4 * GRID}


def small_model(processor: Sam3Processor) -> Sam3Model:
    """The same classes as the released model, three hundred times smaller."""
    tokenizer = processor.tokenizer
    part = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 256, "dropout": 0.0}
    backbone = {
        "hidden_size": 160,
        "intermediate_size": 640,
        "num_hidden_layers": 6,
        "num_attention_heads": 5,
        "image_size": SIDE,
        "pretrain_image_size": SIDE,
        "patch_size": PATCH,
        "window_size": GRID // 2,
        "global_attn_indexes": [1, 3, 5],
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 32,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = Sam3Config(
        vision_config={"backbone_config": backbone, "fpn_hidden_size": 64},
        text_config=text,
        geometry_encoder_config=part | {"num_layers": 1},
        detr_encoder_config=part | {"num_layers": 3},
        detr_decoder_config=part | {"num_layers": 3, "num_queries": 40},
        mask_decoder_config={"hidden_size": 64, "num_attention_heads": 4},
        loss_config={
            "pad_n_queries": None,
            "class_loss_weight": 6.0,
            "class_pos_weight": 5.0,
            "presence_loss_weight": 6.0,
            "giou_loss_weight": 4.0,
            "o2m_loss_weight": 1.0,
            "mask_loss_weight": 20.0,
            "dice_loss_weight": 5.0,
            "semantic_dice_weight": 10.0,
            "scale_loss_by_sqrt_num_prompts": False,
        },
    )
    model = Sam3Model(config)
    initialize(model)
    return model


def processor_for_shapes() -> Sam3Processor:
    """Small images, small words."""
    images = Sam3ImageProcessor(size={"height": SIDE, "width": SIDE}, mask_size=MASK)
    return Sam3Processor(images, shapes_tokenizer())


class Lesson(NamedTuple):
    """A stretch of training: its scenes, images per step, steps, and peak learning rate."""

    name: str
    scenes: ShapesDataset
    images: int
    steps: int
    rate: float


def arguments(lesson: Lesson, options: argparse.Namespace) -> Sam3TrainingArguments:
    """One rate for all parts, which all start from nothing."""
    on_cpu = not torch.cuda.is_available()
    return Sam3TrainingArguments(
        output_dir=str(options.output / lesson.name),
        max_steps=lesson.steps,
        learning_rate=lesson.rate,
        vision_learning_rate=lesson.rate,
        text_learning_rate=lesson.rate,
        layer_decay=1.0,
        weight_decay=0.02,
        adam_beta2=0.99,
        warmup_steps=200,
        timescale=6000,
        cooldown_steps=lesson.steps // 5,
        max_grad_norm=20.0,
        ema_decay=0.999,
        per_device_train_batch_size=lesson.images,
        per_device_eval_batch_size=lesson.images,
        dataloader_num_workers=1,
        dataloader_prefetch_factor=4,
        logging_steps=100,
        eval_strategy="no" if lesson.name == "look" else "steps",
        eval_steps=1000,
        save_steps=500,
        save_total_limit=2,
        seed=0,
        report_to=options.report_to,
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and "LOCAL_RANK" in os.environ else None,
        dataloader_pin_memory=not on_cpu,
        disable_tqdm=True,
    )


def look(model: Sam3Model, processor: Sam3Processor, lesson: Lesson, options: argparse.Namespace) -> None:
    """Train the vision encoder alone."""
    Sam3Trainer(
        Describer(model.vision_encoder),
        arguments(lesson, options),
        train_dataset=DescribedShapes(lesson.scenes, 4 * GRID),
        data_collator=DescribedCollator(processor.image_processor),
    ).train(resume_from_checkpoint=begun(options.output / lesson.name))


def find(model: Sam3Model, processor: Sam3Processor, lesson: Lesson, options: argparse.Namespace) -> None:
    """Train the whole model."""
    Sam3Trainer(
        model,
        arguments(lesson, options),
        train_dataset=EveryShape(lesson.scenes) if lesson.name == "every" else lesson.scenes,
        eval_dataset=ShapesDataset(1000, 48, prompts_per_image=8),
        data_collator=Sam3Collator(processor, mask_size=MASK),
        measure=Measure(processor),
    ).train(resume_from_checkpoint=begun(options.output / lesson.name))


def begun(folder: Path) -> bool:
    """Whether a lesson was interrupted."""
    return any(folder.glob("checkpoint-*"))


def main() -> None:
    """First look at figures, then find every one, then those that are meant."""
    parser = argparse.ArgumentParser(description="Train the embedded model `shapes`.")
    parser.add_argument("output", type=Path, help="a folder; one of an interrupted run is gone on with")
    parser.add_argument("--images", type=int, nargs=3, default=(16, 8, 4), metavar=STAGES)
    parser.add_argument("--steps", type=int, nargs=3, default=(1_500, 1_600, 60_000), metavar=STAGES)
    parser.add_argument("--rates", type=float, nargs=3, default=(1e-3, 3e-4, 2e-4), metavar=STAGES)
    parser.add_argument("--prompts", type=int, default=4, help="prompts per image")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report-to", default="none")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    processor = processor_for_shapes()
    model = small_model(processor)
    lessons = (("look", look, 0.0, 256), ("every", find, 0.3, None), ("meant", find, 0.3, None))
    for number, (name, teach, easy, side) in enumerate(lessons):
        scenes = ShapesDataset(1 + number, 10_000_000, options.prompts if name == "meant" else 1, side, easy)
        done = options.output / name
        if not (done / "model.safetensors").is_file():
            lesson = Lesson(name, scenes, options.images[number], options.steps[number], options.rates[number])
            teach(model, processor, lesson, options)
            model.save_pretrained(done, processor=processor)
        model = Sam3Model.from_pretrained(done)


if __name__ == "__main__":
    main()
