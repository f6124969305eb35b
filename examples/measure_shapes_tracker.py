"""Measure how the embedded model `shapes` follows: on held-out clips that it was not trained on.

    python examples/measure_shapes_tracker.py --model FOLDER [--clips 40] [--frames 16] [--stills 100]

Objects that are shown on the first frame, by their mask or by one click, are followed by a tracker's session (J&F).
Phrases are looked for by a concept session, all four of a clip at once, half of which mean nothing there (pHOTA and
video cgF1 of masklets, as SA-Co/VEval has them). Stills are clicked on (mean IoU after 1, 3 and 5 clicks, or a box).
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sam3_hf import (
    Sam3TrackerVideoModel,
    Sam3TrackerVideoProcessor,
    Sam3VideoModel,
    Sam3VideoProcessor,
)
from sam3_hf.datasets.examples import ClipExample
from sam3_hf.datasets.shapes.clips import ShapesClips
from sam3_hf.datasets.shapes.dataset import ShapesDataset
from sam3_hf.evaluation.masklets import Masklet, Pair
from sam3_hf.evaluation.videos import evaluate_videos
from sam3_hf.ops.masks import boxes_of_masks, encode_rle
from sam3_hf.training.tracking_measures import click_scores, following_score

CLIPS_SEED, STILLS_SEED = 1020, 1021
SHOWN = ("pHOTA", "pDetA", "pAssA", "cgF1", "IL_MCC", "pmF1")


def masklet(masks: np.ndarray, score: float = 1.0) -> Masklet:
    """An object, from its masks (frames, height, width)."""
    drawn = torch.from_numpy(masks)
    boxes = boxes_of_masks(drawn).numpy().astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    codes = [encode_rle(mask) if mask.any() else None for mask in drawn]
    return Masklet(codes, boxes * masks.any((1, 2))[:, None], score)


@torch.inference_mode()
def pairs_of(model: Any, processor: Sam3VideoProcessor, clip: ClipExample) -> list[Pair]:
    """What is annotated of every phrase of a clip, and what is found."""
    size = clip.masks.shape[2:]
    session = processor.init_video_session(list(clip.frames), inference_device=model.device, dtype=model.dtype)
    processor.add_text_prompt(session, [prompt.text for prompt in clip.prompts])
    found: dict[str, dict[int, tuple[np.ndarray, float]]] = {prompt.text: {} for prompt in clip.prompts}
    for result in model.propagate_in_video_iterator(session):
        shown = processor.postprocess_outputs(session, result, share="prompt")
        rows = {number: row for row, number in enumerate(shown["object_ids"].tolist())}
        for text, numbers in shown["prompt_to_obj_ids"].items():
            for number in numbers:
                nothing = np.zeros((len(clip.frames), *size), bool)
                masks, _ = found[text].setdefault(number, (nothing, float(shown["scores"][rows[number]])))
                masks[result.frame_idx] = shown["masks"][rows[number]].numpy()
    place = {number: column for column, number in enumerate(clip.object_ids.tolist())}
    pairs = []
    for number, prompt in enumerate(clip.prompts):
        truth = [clip.masks[:, place[each]] for each in prompt.object_ids.tolist()]
        annotated = [masklet(masks) for masks in truth if masks.any()]
        pairs.append(
            Pair(
                clip.clip_id,
                number,
                len(clip.frames),
                [masklet(*each) for each in found[prompt.text].values()],
                annotated,
            )
        )
    return pairs


def main() -> None:
    """Print all scores."""
    parser = argparse.ArgumentParser(description="Measure how the embedded model `shapes` follows.")
    parser.add_argument("--model", type=Path, required=True, help="what examples/train_shapes_tracker.py left")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--stills", type=int, default=100)
    options = parser.parse_args()
    folder = options.model
    clips = ShapesClips(CLIPS_SEED, options.clips, options.frames)
    tracker = Sam3TrackerVideoModel.from_pretrained(folder).eval()
    tracking = Sam3TrackerVideoProcessor(Sam3VideoProcessor.from_pretrained(folder).image_processor)
    with torch.inference_mode():
        stills = ShapesDataset(STILLS_SEED, options.stills)
        scores = click_scores(tracker, tracking, [stills[number] for number in range(options.stills)])
        print(*(f"{name} {value:.3f}" for name, value in scores.items()), sep="\n", flush=True)
        for prompt in ("mask", "click"):
            value = following_score(tracker, tracking, (clips[number] for number in range(options.clips)), prompt)
            print(f"J&F, shown by a {prompt}: {value:.3f}", flush=True)
    model, processor = Sam3VideoModel.from_pretrained(folder).eval(), Sam3VideoProcessor.from_pretrained(folder)
    pairs = [pair for number in range(options.clips) for pair in pairs_of(model, processor, clips[number])]
    scores = evaluate_videos(pairs)
    print(*(f"{name} {scores[name]:.3f}" for name in SHOWN), sep="\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
