"""Measuring a tracker in training: how well objects are outlined after a few clicks, and how well they are followed.

stills -> a click in the middle, then one after the other in the middle of the largest mistake -> mean IoU
clips, the masks or a click of their first frame -> session -> masks of every frame -> J&F
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sam3_hf.datasets.examples import ClipExample, ImageExample
from sam3_hf.evaluation.models import evaluating
from sam3_hf.evaluation.tracking import tracking_scores
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.ops.masks import resize_logits
from sam3_hf.processing_sam3_tracker_video import Sam3TrackerVideoProcessor
from sam3_hf.tracker.mask_decoder import ImageLevels
from sam3_hf.tracker.video_tracker import Hint, TrackedFrame, held
from sam3_hf.training.clicks import box_prompt, centre_click, largest_wrong_region
from sam3_hf.training.tracking_collator import objects_of

# Numbers of clicks after which masks are compared.
CLICKS = (1, 3, 5)
_PROMPTS = ("mask", "click")


class MeasureTracking:
    """Scores of a tracker, for `Sam3Trainer(measure=...)`: `iou_1`, `iou_3`, `iou_5`, `iou_box`, `jf_mask`, `jf_click`.

    Of several processes, each measures everything.

    Args:
        processor: Of the model.
        also: Examples beside those of the evaluation; stills are clicked on, clips are followed.
    """

    def __init__(self, processor: Sam3TrackerVideoProcessor, also: Any = ()) -> None:
        self.processor = processor
        self.also = also

    def __call__(self, model: nn.Module, examples: Any) -> dict[str, float]:
        """Scores by name, as far as there are examples for them.

        Args:
            model: A `Sam3TrackerVideoModel`, or the `TrackerLearner` around one.
            examples: Dataset of `ImageExample` or `ClipExample`.
        """
        tracker: Any = getattr(model, "tracker", model)
        shown = [examples[place] for place in range(len(examples))] + [self.also[n] for n in range(len(self.also))]
        clips = [example for example in shown if isinstance(example, ClipExample)]
        stills = [example for example in shown if isinstance(example, ImageExample)]
        with evaluating(tracker):
            scores = click_scores(tracker, self.processor, stills) if stills else {}
            if clips:
                scores |= {
                    f"jf_{prompt}": following_score(tracker, self.processor, clips, prompt) for prompt in _PROMPTS
                }
        return scores


def click_scores(
    tracker: Sam3TrackerVideoModel,
    processor: Sam3TrackerVideoProcessor,
    stills: Iterable[ImageExample],
    clicks: Sequence[int] = CLICKS,
) -> dict[str, float]:
    """Mean IoU over objects, at the size of the image: after so many clicks each, and with a box.

    Raises:
        ValueError: There is no object, or no number of clicks, or one below 1.
    """
    if not clicks or min(clicks) < 1:
        raise ValueError(f"Numbers of clicks are 1 or more; got {tuple(clicks)}.")
    found: dict[str, list[float]] = {f"iou_{count}": [] for count in clicks} | {"iou_box": []}
    for still in stills:
        truth = torch.from_numpy(objects_of(still)).to(tracker.device)
        if len(truth):
            image = _look(tracker, processor, still)
            for name, ious in _clicked(tracker, image, truth, clicks).items():
                found[name] += ious.tolist()
    if not found["iou_box"]:
        raise ValueError("There is no object with a mask to be measured.")
    return {name: float(np.mean(ious)) for name, ious in found.items()}


def following_score(
    tracker: Sam3TrackerVideoModel,
    processor: Sam3TrackerVideoProcessor,
    clips: Iterable[ClipExample],
    prompt: str = "mask",
) -> float:
    """Mean J&F over clips, of the objects that are seen on the first frame, where each is shown by a mask or a click.

    Raises:
        ValueError: Another kind of prompt, or no clip shows an object on its first frame.
    """
    if prompt not in _PROMPTS:
        raise ValueError(f"An object is shown by {' or '.join(_PROMPTS)}; got {prompt!r}.")
    scores = []
    for clip in clips:
        seen = np.flatnonzero(clip.masks[0].any((1, 2)))
        if len(seen):
            right = {int(number): clip.masks[:, number] for number in seen}
            found = _followed(tracker, processor, clip, seen.tolist(), prompt)
            scores.append(tracking_scores(found, right).j_and_f)
    if not scores:
        raise ValueError("No clip shows an object on its first frame.")
    return float(np.mean(scores))


def _look(tracker: Any, processor: Sam3TrackerVideoProcessor, still: ImageExample) -> ImageLevels:
    pixels = processor.image_processor(still.image, return_tensors="pt")["pixel_values"]
    return tracker.see(tracker.vision_encoder(pixels.to(tracker.device, tracker.dtype)).fpn_hidden_states)


def _clicked(
    tracker: Sam3TrackerVideoModel, image: ImageLevels, truth: Bool[Tensor, "R H W"], counts: Sequence[int]
) -> dict[str, Float[Tensor, "R"]]:
    """IoU of every object."""
    side = tracker.side_of(image)
    ious = {"iou_box": _iou(tracker.prompt_with_clicks(image, Hint(box_prompt(truth, side))), truth)}
    clicks, previous, found = None, None, torch.zeros_like(truth)
    for count in range(1, max(counts) + 1):
        click = centre_click(largest_wrong_region(truth, found), truth, side)
        clicks = click if clicks is None else clicks.then(click)
        seen = tracker.prompt_with_clicks(image, Hint(clicks, previous))
        previous, found = held(seen.masks), _drawn(seen, truth)
        if count in counts:
            ious[f"iou_{count}"] = _iou(seen, truth)
    return ious


def _drawn(seen: TrackedFrame, truth: Bool[Tensor, "R H W"]) -> Bool[Tensor, "R H W"]:
    return resize_logits(seen.masks[:, 0], (truth.shape[1], truth.shape[2])) > 0


def _iou(seen: TrackedFrame, truth: Bool[Tensor, "R H W"]) -> Float[Tensor, "R"]:
    found = _drawn(seen, truth)
    return (found & truth).sum((1, 2)) / (found | truth).sum((1, 2))


def _followed(
    tracker: Sam3TrackerVideoModel,
    processor: Sam3TrackerVideoProcessor,
    clip: ClipExample,
    objects: list[int],
    prompt: str,
) -> dict[int, Bool[np.ndarray, "T H W"]]:
    """Masks of these objects on every frame, through a session as anyone would use it."""
    size = clip.masks.shape[2:]
    session = processor.init_video_session(list(clip.frames), inference_device=tracker.device, dtype=tracker.dtype)
    first = torch.from_numpy(clip.masks[0, objects])
    given: dict[str, Any] = {"input_masks": list(first)}
    if prompt == "click":
        middle = centre_click(first, first, 1).points  # shares of the sides, half a pixel less
        given = {"input_points": [((middle + 0.5) * torch.tensor(size[::-1]) - 0.5).tolist()]}
    processor.add_inputs_to_inference_session(session, 0, objects, **given)
    frames = []
    for seen in tracker.propagate_in_video_iterator(session):
        (masks,) = processor.post_process_masks([seen.pred_masks], [size])
        frames.append(masks[:, 0].cpu().numpy())
    order = session.obj_ids
    return {number: np.stack([frame[order.index(number)] for frame in frames]) for number in objects}
