"""Train the tracker of the embedded model `shapes` on the frozen ViT of its detector, and join the two.

    torchrun --nproc_per_node 2 examples/train_shapes_tracker.py OUTPUT --detector FOLDER

First clicks on stills, then corrections too, then short clips, then longer ones, then how objects look, and at last
clips in which they hide and come back, first short and then longer ones; all are drawn by the seeded generator and
seen once. OUTPUT/shapes is one checkpoint for `Sam3Model`, `Sam3TrackerModel`, `Sam3TrackerVideoModel` and
`Sam3VideoModel`.
The same command goes on with a run that was killed.
"""

import argparse
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from shapes_lessons import EveryShapeToo, Pointer
from shapes_meetings import Meetings
from shapes_optimizer import MuonAndAdamW
from shapes_recognition import Recaller, Recognizer, graft, grown
from train_shapes import halve, is_first_process, wait_for_all

from sam3_hf import (
    Sam3ImageProcessor,
    Sam3Model,
    Sam3Processor,
    Sam3TrackerVideoConfig,
    Sam3TrackerVideoModel,
    Sam3TrackerVideoProcessor,
    Sam3VisionModel,
)
from sam3_hf.datasets.shapes.clips import ShapesClips
from sam3_hf.datasets.shapes.dataset import ShapesDataset
from sam3_hf.losses.tracking import TrackingWeights
from sam3_hf.processing_sam3_video import Sam3VideoProcessor
from sam3_hf.training.arguments import Sam3TrainingArguments
from sam3_hf.training.initialization import initialize_tracker
from sam3_hf.training.joining import join
from sam3_hf.training.rehearsal import RehearsalPlan
from sam3_hf.training.tracking import TrackerLearner
from sam3_hf.training.tracking_collator import TrackingCollator, WithObjects
from sam3_hf.training.tracking_measures import MeasureTracking
from sam3_hf.training.trainer import Sam3Trainer

_MEMORY_WIDTH = 16
# What a lesson is learned through, beside the learner itself.
_THROUGH: dict[str, Any] = {"point": Pointer, "recognize": Recognizer, "recall": Recaller, "long_recall": Recaller}
# Clips that say how the looks of objects are to be read from memories.
_LOOKED_AT = 60
# Standard deviation of the maps that the tracker reads.
_SPREAD = 0.5
# From nothing, and on small objects, the original's share of the dice term would teach empty masks for long.
# Objects are out of sight in so few frames that at a weight of 1 the tracker would never say so.
_WEIGHTS = TrackingWeights(dice=5.0, occlusion=5.0)


def small_tracker(detector: Sam3Model) -> Sam3TrackerVideoModel:
    """The same classes as the released tracker, fifteen times smaller, on this detector's ViT.

    Its neck starts as a copy of the detector's with maps of an even spread; all else starts from nothing.
    """
    sizes = detector.config.vision_config
    width, vit = sizes.fpn_hidden_size, sizes.backbone_config
    config = Sam3TrackerVideoConfig(
        vision_config=sizes.to_dict(),
        prompt_encoder_config={"hidden_size": width, "image_size": vit.image_size, "patch_size": vit.patch_size},
        mask_decoder_config={
            "hidden_size": width,
            "num_attention_heads": 4,
            "mlp_dim": 4 * width,
            "iou_head_hidden_dim": width,
        },
        memory_encoder_hidden_size=width,
        memory_encoder_output_channels=_MEMORY_WIDTH,
        memory_fuser_embed_dim=width,
        memory_fuser_intermediate_dim=4 * width,
        memory_fuser_layer_scale_init_value=0.1,
        mask_downsampler_embed_dim=width,
        # A mask is made sixteen times smaller in two steps instead of four, with half of the weights.
        mask_downsampler_kernel_size=4,
        mask_downsampler_stride=4,
        mask_downsampler_padding=0,
        memory_attention_hidden_size=width,
        memory_attention_feed_forward_hidden_size=4 * width,
        memory_attention_num_layers=2,
        memory_attention_dropout=0.0,
        memory_attention_rope_dropout=0.0,
    )
    tracker = Sam3TrackerVideoModel(config)
    initialize_tracker(tracker)
    vision: Any = tracker.vision_encoder
    vision.load_state_dict(detector.vision_encoder.state_dict())
    even_out(vision)
    return tracker


@torch.no_grad()
def even_out(vision: Sam3VisionModel) -> None:
    """Scale every level of a neck to one spread: larger maps would drown the code of the place of a click."""
    side = vision.config.backbone_config.image_size
    images = Sam3ImageProcessor(size={"height": side, "width": side})
    scenes = ShapesDataset(10, 16, prompts_per_image=1)
    pixels = images([scenes[number].image for number in range(16)], return_tensors="pt")["pixel_values"]
    for layer, level in zip(vision.neck.fpn_layers, vision(pixels).fpn_hidden_states, strict=True):
        layer.proj2.weight *= _SPREAD / level.std()
        layer.proj2.bias *= _SPREAD / level.std()


class Lesson(NamedTuple):
    """A stretch of training: what is shown, how it is asked, its steps and its rate."""

    name: str
    shown: Any
    plan: RehearsalPlan
    frames: int
    steps: int
    rate: float
    mask_size: Any


def lessons(options: argparse.Namespace, images: Sam3ImageProcessor) -> list[Lesson]:
    """Pointing, being corrected, following, following for longer with masks of the input's own resolution; looks."""
    first, stills, short, long, looks, again, longer = options.steps
    pointing, corrected = RehearsalPlan(steps=1), RehearsalPlan(steps=options.answers)
    following = RehearsalPlan(steps=max(options.answers // 2, 2))
    pictures = [EveryShapeToo(ShapesDataset(seed, 10_000_000, 1, 256, easy=0.3)) for seed in (14, 11)]
    meetings = Meetings(ShapesClips(16, 10_000_000, frames=16), frames=8, objects=options.objects)
    longer_ones = Meetings(ShapesClips(18, 10_000_000, frames=16), frames=12, objects=options.objects)
    rate, coarse = options.rate, images.mask_size
    return [
        Lesson("point", pictures[0], pointing, 1, first, 2 * rate, coarse),
        Lesson("stills", pictures[1], corrected, 1, stills, rate, coarse),
        Lesson("clips", ShapesClips(12, 10_000_000, frames=8), following, 4, short, rate / 2, coarse),
        Lesson("long_clips", ShapesClips(13, 10_000_000, frames=12), following, 8, long, rate / 2, images.size),
        Lesson("recognize", ShapesClips(15, 10_000_000, frames=6), following, 6, looks, rate, coarse),
        Lesson("recall", meetings, following, 8, again, rate / 2, images.size),
        Lesson("long_recall", longer_ones, following, 12, longer, 0.4 * rate, images.size),
    ]


def arguments(lesson: Lesson, options: argparse.Namespace) -> Sam3TrainingArguments:
    """One rate for all parts, which all start from nothing."""
    on_cpu = not torch.cuda.is_available()
    return Sam3TrainingArguments(
        output_dir=str(options.output / lesson.name),
        max_steps=lesson.steps,
        bf16=True,
        warmup_steps=min(300, lesson.steps // 10),
        timescale=6000,
        cooldown_steps=lesson.steps // 3,
        max_grad_norm=5.0,
        ema_decay=0.998,
        per_device_train_batch_size=options.images,
        per_device_eval_batch_size=options.images,
        dataloader_num_workers=options.workers,
        logging_steps=min(100, max(lesson.steps // 4, 1)),
        eval_strategy="no" if lesson.name in ("point", "recognize") else "steps",
        eval_steps=min(1000, lesson.steps),
        save_steps=500,
        save_total_limit=2,
        seed=0,
        report_to=options.report_to,
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and "LOCAL_RANK" in os.environ else None,
        dataloader_pin_memory=not on_cpu,
        disable_tqdm=True,
    )


def teach(tracker: Sam3TrackerVideoModel, processor: Sam3TrackerVideoProcessor, lesson: Lesson, options: Any) -> Any:
    """One lesson, from its start or from its last checkpoint; returns the tracker with what it was taught through."""
    held_out = WithObjects(ShapesDataset(1011, options.held_out))
    clips = ShapesClips(1012, options.held_out // 4, frames=12) if lesson.frames > 1 else ()
    learner: Any = TrackerLearner(tracker, lesson.plan, _WEIGHTS)
    learner = _THROUGH[lesson.name](learner) if lesson.name in _THROUGH else learner
    trainer = Sam3Trainer(
        learner,
        arguments(lesson, options),
        optimizers=(MuonAndAdamW(learner, lesson.rate, 0.02), None),
        train_dataset=WithObjects(lesson.shown),
        eval_dataset=held_out,
        data_collator=TrackingCollator(processor.image_processor, options.objects, lesson.frames, lesson.mask_size),
        measure=MeasureTracking(processor, also=clips),
    )
    trainer.train(resume_from_checkpoint=any((options.output / lesson.name).glob("checkpoint-*")))
    return learner


def with_looks(recognizer: Recognizer, processor: Sam3TrackerVideoProcessor, options: Any) -> Sam3TrackerVideoModel:
    """The tracker of a recognizer, whose memory is wider now and knows how objects look."""
    tracker = grown(recognizer.tracker.cpu())
    collate = TrackingCollator(processor.image_processor, options.objects, 2, processor.image_processor.mask_size)
    clips = WithObjects(ShapesClips(17, _LOOKED_AT, frames=3))
    batches = [collate([clips[number + n] for n in range(4)]) for number in range(0, _LOOKED_AT, 4)]
    graft(tracker.eval(), _MEMORY_WIDTH, recognizer.cpu().eval().read, batches)
    return tracker


def main() -> None:
    """Lesson after lesson, then one model of detector and tracker."""
    parser = argparse.ArgumentParser(description="Train the tracker of the embedded model `shapes`.")
    parser.add_argument("output", type=Path, help="a folder; one of an interrupted run is gone on with")
    parser.add_argument("--detector", type=Path, required=True, help="what examples/train_shapes.py left")
    parser.add_argument("--images", type=int, default=4, help="stills or clips per step and process")
    parser.add_argument("--objects", type=int, default=3, help="objects per still or clip")
    parser.add_argument("--answers", type=int, default=3, help="answers on a prompted still; half on a frame of a clip")
    parser.add_argument(
        "--steps",
        type=int,
        nargs=7,
        default=(900, 1_500, 2_500, 2_200, 600, 3_500, 2_000),
        metavar=("POINT", "STILLS", "CLIPS", "LONG", "RECOGNIZE", "RECALL", "LONG_RECALL"),
    )
    parser.add_argument("--rate", type=float, default=7.5e-4)
    parser.add_argument("--held-out", type=int, default=48, help="stills to measure with, and four times fewer clips")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--report-to", default="none")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    detector = Sam3Model.from_pretrained(options.detector)
    processor = Sam3Processor.from_pretrained(options.detector)
    tracker, tracking = small_tracker(detector), Sam3TrackerVideoProcessor(processor.image_processor)
    for lesson in (each for each in lessons(options, processor.image_processor) if each.steps):
        done = options.output / lesson.name
        if not (done / "model.safetensors").is_file():
            taught = teach(tracker, tracking, lesson, options)
            if is_first_process():
                tracker = with_looks(taught, tracking, options) if lesson.name == "recognize" else tracker
                tracker.save_pretrained(done)
                tracking.save_pretrained(done)
            wait_for_all()
        tracker = Sam3TrackerVideoModel.from_pretrained(done)
    if not is_first_process():
        return
    # Specks are judged on masks of 288 cells a side in the released model; these have fewer.
    area = round(16 * (processor.image_processor.mask_size["height"] / 288) ** 2)
    folder = options.output / "shapes"
    join(detector, tracker, fill_hole_area=area).save_pretrained(folder)
    Sam3VideoProcessor(processor.image_processor, processor.tokenizer).save_pretrained(folder)
    halve(folder / "model.safetensors")


if __name__ == "__main__":
    main()
