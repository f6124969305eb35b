"""Train the embedded model `shapes`: from random weights to masks of "red circle", on a CPU or a GPU.

    python examples/train_shapes.py OUTPUT

Every picture is drawn by the seeded generator and seen once. The same command goes on with a run that was killed.
"""

import argparse
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from shapes_lessons import DescribedCollator, DescribedShapes, Describer, EveryShapeToo, Marker
from shapes_optimizer import MuonAndAdamW
from torch import distributed

from sam3_hf import Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor
from sam3_hf.datasets.shapes.dataset import ShapesDataset
from sam3_hf.datasets.shapes.prompts import EXAMPLES_SHARE
from sam3_hf.datasets.shapes.tokenizer import shapes_tokenizer
from sam3_hf.training.arguments import Sam3TrainingArguments
from sam3_hf.training.collator import Sam3Collator
from sam3_hf.training.initialization import initialize
from sam3_hf.training.measuring import Measure
from sam3_hf.training.trainer import Sam3Trainer

SIDE, PATCH = 192, 12
GRID = SIDE // PATCH
LESSONS = ("look", "read", "find", "sharpen", "apart", "outline", "alike")
STEPS = (1_800, 1_500, 1_000, 2_500, 800, 1_000, 3_000)
RATES = (1.5e-3, 1e-3, 5e-4, 5e-4, 4e-4, 5e-4, 5e-4)
STAGES = tuple(name.upper() for name in LESSONS)
# Longer side of the scenes as they are drawn, 320 in all other lessons.
DRAWN = {"look": SIDE, "read": 256}
# Share of scenes with a few plain figures, a tenth in all other lessons.
EASY = {"look": 0.3, "read": 0.3}
# Share of the steps, at the end, in which the rate falls to zero.
COOLDOWN = {"look": 0.4, "read": 0.4, "find": 0.0, "sharpen": 0.5, "apart": 0.6, "outline": 0.0, "alike": 0.5}
# Masks that are learnt from have the size of the model's, and in the end of its input.
MASK = {"height": 4 * GRID, "width": 4 * GRID}
FINE_MASK = {"height": SIDE, "width": SIDE}
LAST = ("outline", "alike")


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
    images = Sam3ImageProcessor(size={"height": SIDE, "width": SIDE}, mask_size=MASK, nms_threshold=0.5)
    return Sam3Processor(images, shapes_tokenizer())


class Lesson(NamedTuple):
    """A stretch of training: images per step of all processes, prompts per image, steps, and peak learning rate."""

    name: str
    images: int
    prompts: int
    steps: int
    rate: float


def arguments(lesson: Lesson, options: argparse.Namespace) -> Sam3TrainingArguments:
    """One rate for all parts, which all start from nothing."""
    on_cpu = not torch.cuda.is_available()
    return Sam3TrainingArguments(
        output_dir=str(options.output / lesson.name),
        max_steps=lesson.steps,
        bf16=True,
        warmup_steps=200,
        timescale=6000,
        cooldown_steps=round(COOLDOWN[lesson.name] * lesson.steps),
        max_grad_norm=20.0,
        ema_decay=0.998,
        per_device_train_batch_size=max(lesson.images // int(os.environ.get("WORLD_SIZE", "1")), 1),
        per_device_eval_batch_size=8,
        dataloader_num_workers=1,
        dataloader_prefetch_factor=4,
        logging_steps=50,
        eval_strategy="steps" if lesson.name in LESSONS[2:] else "no",
        eval_steps=options.eval_steps,
        save_steps=250,
        save_total_limit=2,
        seed=0,
        report_to=options.report_to,
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and "LOCAL_RANK" in os.environ else None,
        dataloader_pin_memory=not on_cpu,
        disable_tqdm=True,
    )


def train(model: Sam3Model, processor: Sam3Processor, lesson: Lesson, options: argparse.Namespace) -> None:
    """One lesson, from its start or from its last checkpoint."""
    images = processor.image_processor
    collator = Sam3Collator(processor, mask_size=FINE_MASK if lesson.name in LAST else MASK)
    seed, drawn, easy = LESSONS.index(lesson.name) + 1, DRAWN.get(lesson.name, 320), EASY.get(lesson.name, 0.1)
    examples_share = 0.5 if lesson.name == "alike" else EXAMPLES_SHARE
    scenes = ShapesDataset(seed, 10_000_000, lesson.prompts, drawn, easy, examples_share)
    learner: Any = model
    if lesson.name == "look":
        learner = Describer(model.vision_encoder)
        parts = {"train_dataset": DescribedShapes(scenes, 4 * GRID), "data_collator": DescribedCollator(images)}
    elif lesson.name == "read":
        learner = Marker(model)
        parts = {"train_dataset": scenes, "data_collator": collator}
    else:
        model.vision_encoder.backbone.requires_grad_(lesson.name in LAST)
        if lesson.name == "sharpen":
            # What several queries say of one object has done its work; from here on it counts less.
            model.config.loss_config.o2m_loss_weight = 0.3
        if lesson.name == "apart":
            only_queries(model)
        if lesson.name in LAST:
            model.config.loss_config.use_dac = True
            model.config.loss_config.mask_num_points = 1024
        parts = {
            "train_dataset": scenes if lesson.name == "alike" else EveryShapeToo(scenes),
            "eval_dataset": ShapesDataset(1000, 48, prompts_per_image=8),
            "data_collator": collator,
            "measure": Measure(processor),
        }
    optimizer = MuonAndAdamW(learner, lesson.rate, 0.02)
    trainer = Sam3Trainer(learner, arguments(lesson, options), optimizers=(optimizer, None), **parts)
    trainer.train(resume_from_checkpoint=any((options.output / lesson.name).glob("checkpoint-*")))


def only_queries(model: Sam3Model) -> None:
    """Let queries alone learn, and only that an object is for one of them."""
    model.requires_grad_(False)
    for name in ("detr_decoder", "dot_product_scoring", "mask_decoder.mask_embedder"):
        model.get_submodule(name).requires_grad_(True)
    model.config.loss_config.use_dac = False
    model.config.loss_config.class_loss_weight = 12.0


def main() -> None:
    """First look at figures, then read which are meant, then find them, then find them better and better."""
    parser = argparse.ArgumentParser(description="Train the embedded model `shapes`.")
    parser.add_argument("output", type=Path, help="a folder; one of an interrupted run is gone on with")
    parser.add_argument("--images", type=int, nargs=7, default=(48, 8, 8, 12, 16, 12, 12), metavar=STAGES)
    parser.add_argument("--prompts", type=int, nargs=7, default=(1, 6, 3, 3, 3, 3, 4), metavar=STAGES)
    parser.add_argument("--steps", type=int, nargs=7, default=STEPS, metavar=STAGES)
    parser.add_argument("--rates", type=float, nargs=7, default=RATES, metavar=STAGES)
    parser.add_argument("--eval-steps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report-to", default="none")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    processor = processor_for_shapes()
    model = small_model(processor)
    for lesson in map(Lesson, LESSONS, options.images, options.prompts, options.steps, options.rates):
        done = options.output / lesson.name
        if not (done / "model.safetensors").is_file():
            train(model, processor, lesson, options)
            if is_first_process():
                model.save_pretrained(done, processor=processor)
            wait_for_all()
        model = Sam3Model.from_pretrained(done)
    if is_first_process():
        model.save_pretrained(options.output / "shapes", processor=processor)
        halve(options.output / "shapes" / "model.safetensors")


def is_first_process() -> bool:
    """Whether this is the process that writes what is not a checkpoint."""
    return os.environ.get("RANK", "0") == "0"


def wait_for_all() -> None:
    """Until every process has come here."""
    if distributed.is_initialized():
        distributed.barrier()


def halve(file: Path) -> None:
    """Store weights in half precision; the configuration beside them says that they are loaded in full."""
    weights = {name: tensor.half().contiguous() for name, tensor in load_file(file).items()}
    save_file(weights, file, {"format": "pt"})


if __name__ == "__main__":
    main()
