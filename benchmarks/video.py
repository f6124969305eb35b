"""What a frame of a video costs by the number of objects, beside transformers, in one process and alternating.

    python benchmarks/video.py [--size tiny] [--objects 1 4 16 64] [--frames 8] [--sessions tracker concept]
    python benchmarks/video.py --memory 2000 [--objects 4] [--sessions tracker]
    python benchmarks/video.py --rate --size full --objects 5 --dtype bfloat16 [--compile reduce-overhead]

Both sides have the same random weights, frames and prompts. In a tracker's session each object is clicked on frame 0.
In a concept session both sides are given the same detections in place of what a detector with random weights would
find: so many squares on frame 0, and nothing later. The ViT is the same on both sides, runs once per frame whatever
the number of objects, and is measured alone; its output for one frame then stands in for it. Frames count once all
memories are full. Prints JSON: medians in milliseconds, and ratios without and with the ViT (`vit_ms` of each side).

`--memory` runs our side alone for so many frames and prints resident memory of the process (or memory of the GPU) after
every tenth, and how far it strays after the first 100 frames, or the first half of fewer. `--rate` runs our side alone
with the ViT on every frame, and prints frames per second. Needs the `test` extra.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import torch
import transformers
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import (
    Sam3TrackerVideoInferenceSession as TheirTrackerSession,
)
from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession as TheirConceptSession

from sam3_hf.benchmarking.memory import resident, settle
from sam3_hf.benchmarking.timing import seconds_of
from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig
from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.following import frame as following
from sam3_hf.following.detecting import detect
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.modeling_sam3_video import Sam3VideoModel
from sam3_hf.video.concept_session import Sam3VideoInferenceSession
from sam3_hf.video.detections import Detections
from sam3_hf.video.phrases import Phrase
from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.session import Sam3TrackerVideoInferenceSession

# Frames until every memory that a frame can look at is there: 16 pointers.
FULL = 16
# Frames after that before a rate counts: CUDA graphs of the last sizes are recorded on them.
_WARM = 4
SIZE = (480, 640)
_ANY_PART = transformers.AutoModel.from_config
Step = Callable[[int], object]

_VIT = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": 168,
    "pretrain_image_size": 84,
    "window_size": 6,
    "global_attn_indexes": [1, 3],
}
_VISION = {"fpn_hidden_size": 128, "backbone_feature_sizes": [[48, 48], [24, 24], [12, 12]], "backbone_config": _VIT}
# transformers reads memories of 64 channels only, and pointers only if they are wider than that.
_WIDE = (
    "memory_attention_hidden_size",
    "memory_encoder_hidden_size",
    "mask_downsampler_embed_dim",
    "memory_fuser_embed_dim",
)
_TRACKER: dict[str, Any] = dict.fromkeys(_WIDE, 128) | {
    "memory_encoder_output_channels": 64,
    "image_size": 168,
    "vision_config": _VISION,
    "prompt_encoder_config": {"hidden_size": 128, "image_size": 168},
    "mask_decoder_config": {"hidden_size": 128, "mlp_dim": 128, "iou_head_hidden_dim": 64},
    "memory_attention_feed_forward_hidden_size": 128,
    "memory_attention_num_layers": 2,
    "memory_attention_rope_feat_sizes": [12, 12],
    "memory_fuser_intermediate_dim": 128,
}
_PART = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 64, "num_layers": 2}
_DETECTOR: dict[str, Any] = {
    "vision_config": _VISION,
    "text_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2},
    "geometry_encoder_config": _PART,
    "detr_encoder_config": _PART,
    "detr_decoder_config": _PART | {"num_queries": 20},
    "mask_decoder_config": {"hidden_size": 128, "num_attention_heads": 2},
}
# Nothing that was found goes again, so that the number of objects stays what it is.
_RULES = {
    "hotstart_delay": 0,
    "hotstart_unmatch_thresh": 0,
    "hotstart_dup_thresh": 0,
    "fill_hole_area": 0,
    "recondition_every_nth_frame": 0,
    "suppress_overlapping_based_on_recent_occlusion_threshold": 0.0,
}


class Pair(NamedTuple):
    """Ours and theirs on the same weights."""

    ours: Any
    theirs: Any


def pair(kind: str, size: str, device: torch.device, dtype: torch.dtype) -> Pair:
    """Both models of a kind of session."""
    tiny = size == "tiny"
    if kind == "tracker":
        config: Any = Sam3TrackerVideoConfig(**(_TRACKER if tiny else {}))
        their_config: Any = transformers.Sam3TrackerVideoConfig.from_dict(_with_side(config.to_dict()))
        classes = (Sam3TrackerVideoModel, transformers.Sam3TrackerVideoModel)
    else:
        parts = {"detector_config": _DETECTOR, "tracker_config": _TRACKER} if tiny else {}
        config = Sam3VideoConfig(**parts, **_RULES)
        values = config.to_dict()
        values["detector_config"] = transformers.Sam3Config.from_dict(values["detector_config"])
        values["tracker_config"] = transformers.Sam3TrackerVideoConfig.from_dict(_with_side(values["tracker_config"]))
        their_config = transformers.Sam3VideoConfig(**values)
        classes = (Sam3VideoModel, transformers.Sam3VideoModel)
    torch.manual_seed(0)
    with device:
        ours = classes[0](config).eval()
        for parameter in ours.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape) * parameter[0].numel() ** -0.5)
        with mock.patch.object(transformers.AutoModel, "from_config", _their_part):
            theirs = classes[1](their_config).eval()
    theirs.load_state_dict(ours.state_dict(), assign=True)
    return Pair(ours.to(device, dtype), theirs.to(device, dtype))


def _their_part(config: Any, **options: Any) -> Any:
    """A part of transformers' own, in place of ours, which stands in its register of models."""
    parts = {"sam3": transformers.Sam3Model, "sam3_tracker_video": transformers.Sam3TrackerVideoModel}
    part = parts.get(config.model_type, _ANY_PART)
    return part(config, **options)


def _with_side(values: dict[str, Any]) -> dict[str, Any]:
    """The size of the input once more, where transformers would otherwise take 1008 for it."""
    return values | {"image_size": values["vision_config"]["backbone_config"]["image_size"]}


def side_of(model: Any) -> int:
    """Side of the model's input in pixels."""
    config: Any = getattr(model.config, "tracker_config", model.config)
    return config.vision_config.backbone_config.image_size


def stand_in(model: Any, side: int) -> float:
    """Run the ViT on one frame, and let what it saw stand in for it from then on; milliseconds that it took."""
    backbone = getattr(model, "detector_model", model).vision_encoder.backbone
    pixels = torch.randn(1, 3, side, side, device=model.device, dtype=model.dtype)
    seen: list[Any] = []
    took = [seconds_of(lambda: seen.append(backbone(pixels)), model.device) for _ in range(3)]
    backbone.forward = lambda *_, **__: seen[-1]
    return round(1000 * min(took), 2)


def tracker_steps(models: Pair, objects: int, frames: int) -> dict[str, Step]:
    """What goes through the next frame, on either side, once each of the objects was clicked on frame 0."""
    ours, theirs = models.ours, models.theirs
    video = noise(side_of(ours), frames)
    points = torch.rand(objects, 1, 2) * side_of(ours)
    session = Sam3TrackerVideoInferenceSession(video, *SIZE, inference_device=ours.device, dtype=ours.dtype)
    their_session = TheirTrackerSession(
        video, *SIZE, inference_device=ours.device, inference_state_device=ours.device, dtype=ours.dtype
    )
    for obj_id, point in enumerate(points):
        session.say(obj_id, 0, ObjectPrompt(point, torch.ones(1, dtype=torch.long)))
        place = their_session.obj_id_to_idx(obj_id)
        click = {"point_coords": point[None, None], "point_labels": torch.ones(1, 1, 1, dtype=torch.int32)}
        their_session.add_point_inputs(place, 0, click)
    their_session.obj_with_new_inputs = list(range(objects))
    return {"ours": lambda n: ours(session, frame_idx=n), "theirs": lambda n: theirs(their_session, frame_idx=n)}


def concept_steps(models: Pair, objects: int, frames: int, detecting: bool = False) -> dict[str, Step]:
    """The same of a phrase of which so many things are found on frame 0; our detector works too if `detecting`."""
    ours, theirs = models.ours, models.theirs
    side = side_of(ours)
    video = noise(side, frames)
    masks = squares(objects, 4 * side // 14).to(ours.device, ours.dtype)
    scores, boxes = masks.new_full((objects,), 0.9), masks.new_zeros(objects, 4)
    session = Sam3VideoInferenceSession(video, *SIZE, inference_device=ours.device, dtype=ours.dtype)
    number = session.add_phrase(Phrase("thing", torch.zeros(1, 32).long(), torch.ones(1, 32).long()))
    their_session = TheirConceptSession(
        video, *SIZE, inference_device=ours.device, inference_state_device=ours.device, dtype=ours.dtype
    )
    their_session.add_prompt("thing")

    def step(n: int) -> object:
        kept = objects if n == 0 else 0
        found = Detections(scores[:kept].float(), boxes[:kept].float(), masks[:kept].float(), [number] * kept)

        def instead(*given: Any) -> Detections:
            if detecting:
                detect(*given)
            return found

        with mock.patch.object(following, "detect", instead):
            return _all_there(ours(session, frame_idx=n), objects)

    def their_step(n: int) -> object:
        kept = objects if n == 0 else 0
        theirs.run_detection = lambda **_: {0: {"bbox": boxes[:kept], "mask": masks[:kept], "scores": scores[:kept]}}
        return _all_there(theirs(their_session, frame_idx=n), objects)

    return {"ours": step, "theirs": their_step}


def noise(side: int, frames: int) -> torch.Tensor:
    """A video of one frame, many times."""
    return torch.randn(1, 3, side, side).expand(frames, -1, -1, -1)


def squares(objects: int, side: int) -> torch.Tensor:
    """Masks, side by side, of as many squares."""
    rows = 1
    while rows**2 < objects:
        rows += 1
    masks = torch.full((objects, side, side), -10.0)
    for number in range(objects):
        top, left = (side * place // rows for place in divmod(number, rows))
        masks[number, top : top + side // rows, left : left + side // rows] = 10.0
    return masks


def _all_there(result: Any, objects: int) -> Any:
    if len(result.object_ids) != objects:
        raise RuntimeError(f"{len(result.object_ids)} of {objects} objects are left: this would not be a comparison.")
    return result


STEPS = {"tracker": tracker_steps, "concept": concept_steps}


def measured(kind: str, models: Pair, objects: int, frames: int, vit_ms: dict[str, float]) -> dict[str, Any]:
    """Median time of a frame on both sides, which take turns and read equally many memories."""
    tracker: Any = getattr(models.ours, "tracker_model", models.ours)
    # With random weights nearly all frames would count as too bad to be looked at, which transformers does not ask.
    tracker.config.use_memory_selection = False
    steps = STEPS[kind](models, objects, FULL + frames + 1)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(FULL + frames + 1):
        for name, step in steps.items():
            times[name].append(1000 * seconds_of(lambda step=step, number=number: step(number), models.ours.device))
    median = {name: round(statistics.median(each[FULL + 1 :]), 2) for name, each in times.items()}
    whole = {name: median[name] + vit_ms[name] for name in median}
    return {
        "frame_ms": median,
        "faster_by": round(median["theirs"] / median["ours"], 2),
        "faster_by_with_vit": round(whole["theirs"] / whole["ours"], 2),
    }


def rate(kind: str, models: Pair, objects: int, frames: int) -> dict[str, float]:
    """Frames per second of our side, ViT and detector included, one frame after the other without a wait between."""
    more = {"detecting": True} if kind == "concept" else {}
    step = STEPS[kind](models, objects, FULL + _WARM + frames, **more)["ours"]
    start = FULL + _WARM
    for number in range(start):
        step(number)
    seconds = seconds_of(lambda: [step(start + number) for number in range(frames)], models.ours.device)
    return {"frame_ms": round(1000 * seconds / frames, 2), "frames_per_second": round(frames / seconds, 1)}


def memory_by_frame(kind: str, models: Pair, objects: int, frames: int) -> dict[str, Any]:
    """Memory that our side holds, in megabytes, as a video goes on."""
    step = STEPS[kind](models, objects, frames)["ours"]
    held = dict(_held(step, frames, models.ours.device))
    later = [size for number, size in held.items() if number >= min(100, frames // 2)]
    strays = round(100 * (max(later) - min(later)) / min(later), 2)
    return {"megabytes": held, "strays_by_percent": strays, "first_counted": min(100, frames // 2)}


def _held(step: Step, frames: int, device: torch.device) -> Iterator[tuple[int, float]]:
    """Number of every tenth frame, and what is held after it."""
    for number in range(frames):
        step(number)
        if number % 10 == 9:
            settle()
            held = torch.cuda.memory_allocated() if device.type == "cuda" else resident() or 0
            yield number, round(held / 1e6, 1)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--frames", type=int, default=8, help="frames that count")
    parser.add_argument("--sessions", nargs="+", choices=tuple(STEPS), default=list(STEPS))
    parser.add_argument("--memory", type=int, default=0, help="frames of a look at memory, in place of times")
    parser.add_argument("--rate", action="store_true", help="our side alone, with the ViT: frames per second")
    parser.add_argument("--compile", metavar="MODE", help='with --rate: compile our side, in a mode as "default"')
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.compile and not options.rate:
        parser.error("--compile belongs to --rate: both sides are compared in eager mode.")
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    report: dict[str, Any] = vars(options) | {"torch": torch.__version__, "transformers": transformers.__version__}
    for kind in options.sessions:
        models = pair(kind, options.size, torch.device(options.device), getattr(torch, options.dtype))
        report[kind] = look(kind, models, options)
        del models
    print(json.dumps(report, indent=2))


def look(kind: str, models: Pair, options: argparse.Namespace) -> dict[str, Any]:
    """What was asked of one kind of session."""
    if options.rate:
        if options.compile:
            models.ours.compile(mode=options.compile)
        return {f"{objects} objects": rate(kind, models, objects, options.frames) for objects in options.objects}
    both = {"ours": models.ours, "theirs": models.theirs}
    vit_ms = {name: stand_in(model, side_of(models.ours)) for name, model in both.items()}
    if options.memory:
        found = {f"{n} objects": memory_by_frame(kind, models, n, options.memory) for n in options.objects}
    else:
        found = {f"{n} objects": measured(kind, models, n, options.frames, vit_ms) for n in options.objects}
    return {"vit_ms": vit_ms} | found


if __name__ == "__main__":
    main()
