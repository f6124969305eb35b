"""A model's answers in the form that evaluation compares and prediction files hold.

images, prompts -> model -> Candidates of some rows: row, score, box, mask logits -> Detections of each row, or the best
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from sam3_hf.datasets.examples import ImageExample
from sam3_hf.evaluation.datapoints import Detections, Objects
from sam3_hf.ops.masks import rle_at
from sam3_hf.ops.nms import kept_above

SCORE_FLOOR = 0.3
# A score that every query exceeds.
_ANY = -1.0
DIGITS = 5


class Candidates(NamedTuple):
    """Queries that may be objects, of several prompt rows; boxes are relative to the image."""

    rows: Int[Tensor, " K"]
    scores: Float[Tensor, " K"]
    boxes_xyxy: Float[Tensor, "K 4"]
    masks: Float[Tensor, "K h w"]

    @classmethod
    def above(cls, outputs: Any, floor: float, nms_threshold: float | int | None = None) -> "Candidates":
        """All queries of a model's outputs whose score is higher than `floor`, row by row; see `kept_above`."""
        scores, rows, queries = _distinct(outputs, floor, nms_threshold)
        return cls._of(outputs, scores, rows, queries)

    @classmethod
    def best(cls, outputs: Any, count: int, nms_threshold: float | int | None = None) -> "Candidates":
        """The `count` queries with the highest scores, whatever their rows; see `kept_above`."""
        scores, rows, queries = _distinct(outputs, _ANY, nms_threshold)
        surest = scores.argsort(descending=True, stable=True)[:count]
        return cls._of(outputs, scores[surest], rows[surest], queries[surest])

    @classmethod
    def _of(cls, outputs: Any, scores: Tensor, rows: Tensor, queries: Tensor) -> "Candidates":
        """Some of a model's outputs."""
        return cls(rows, scores, outputs.pred_boxes[rows, queries].float(), outputs.pred_masks[rows, queries])

    def join(self, others: "Candidates") -> "Candidates":
        """Both together, these first."""
        return Candidates(*(torch.cat(values) for values in zip(self, others, strict=True)))

    def surest(self, count: int) -> "Candidates":
        """Those with the highest scores; the earlier of two alike."""
        return self.take(self.scores.argsort(descending=True, stable=True)[:count])

    def take(self, places: Tensor) -> "Candidates":
        """Some of them."""
        return Candidates(*(values[places] for values in self))


def predict(
    model: Any,
    processor: Any,
    examples: Sequence[ImageExample],
    prompts_at_once: int = 16,
    with_masks: bool = True,
) -> Iterator[Detections]:
    """What a model finds for every prompt of a few images, in order; all images pass the vision encoder together."""
    inputs = _inputs(processor, examples).to(model.device)
    sizes = [(example.image.height, example.image.width) for example in examples for _ in example.prompts]
    vision = model.get_vision_features(inputs.pop("pixel_values"))
    prompts = {name: value for name, value in inputs.items() if name != "original_sizes"}
    for start in range(0, len(sizes), prompts_at_once):
        rows = slice(start, start + prompts_at_once)
        outputs = model(vision_embeds=vision, **{name: value[rows] for name, value in prompts.items()})
        candidates = Candidates.above(outputs, SCORE_FLOOR, processor.image_processor.nms_threshold)
        for row, size in enumerate(sizes[rows]):
            yield detections_of(candidates.take(candidates.rows == row), size, with_masks=with_masks)


def predict_best(
    model: Any, processor: Any, image: Image.Image, texts: Sequence[str], count: int, prompts_at_once: int = 16
) -> Detections:
    """The `count` surest objects of an image for all texts together, whatever their scores; boxes in pixels.

    A detection's category is the place of its text, from 0.
    """
    inputs = processor(images=image, text=list(texts), return_tensors="pt").to(model.device)
    vision = model.get_vision_features(inputs["pixel_values"])
    best = None
    for start in range(0, len(texts), prompts_at_once):
        rows = slice(start, start + prompts_at_once)
        text = {name: inputs[name][rows] for name in ("input_ids", "attention_mask")}
        found = Candidates.best(model(vision_embeds=vision, **text), count, processor.image_processor.nms_threshold)
        found = found._replace(rows=found.rows + start)
        best = found if best is None else best.join(found).surest(count)
    if best is None:
        raise ValueError("Pass at least one text.")
    detections = detections_of(best, (image.height, image.width), boxes_in_pixels=True)
    return replace(detections, categories=best.rows.cpu().numpy())


def scores_of(outputs: Any) -> Float[Tensor, "P Q"]:
    """How sure the model is that a query is an object of its prompt, and that there is one at all."""
    return outputs.pred_logits.float().sigmoid() * outputs.presence_logits.float().sigmoid()


def _distinct(
    outputs: Any, floor: float, nms_threshold: float | int | None
) -> tuple[Float[Tensor, " K"], Int[Tensor, " K"], Int[Tensor, " K"]]:
    """Scores, rows and queries of what is kept, row by row."""
    scores = scores_of(outputs)
    kept = [kept_above(*row, floor, nms_threshold) for row in zip(scores, outputs.pred_boxes, strict=True)]
    rows, queries = torch.stack(kept).nonzero(as_tuple=True)
    return scores[rows, queries], rows, queries


def detections_of(
    candidates: Candidates, size: tuple[int, int], *, with_masks: bool = True, boxes_in_pixels: bool = False
) -> Detections:
    """Candidates of one image of `size` (height, width), rounded as in a prediction file; category 1."""
    scale = (size[1], size[0]) if boxes_in_pixels else (1, 1)
    corners = candidates.boxes_xyxy.double().cpu().numpy() * np.tile(scale, 2)
    boxes_xywh = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    masks = rle_at(candidates.masks, size, 0.0) if with_masks else None
    scores = candidates.scores.double().cpu().numpy()
    objects = Objects(np.round(boxes_xywh, DIGITS), masks)
    return Detections(objects, np.round(scores, DIGITS), np.ones(len(scores), np.int64))


def _inputs(processor: Any, examples: Sequence[ImageExample]) -> Any:
    """One row per prompt, with the image that it is about."""
    prompts = [(place, prompt) for place, example in enumerate(examples) for prompt in example.prompts]
    boxes = {}
    if any(len(prompt.example_boxes_xyxy_px) for _, prompt in prompts):
        boxes = {
            "input_boxes": [prompt.example_boxes_xyxy_px.tolist() or None for _, prompt in prompts],
            "input_boxes_labels": [prompt.example_labels.tolist() or None for _, prompt in prompts],
        }
    return processor(
        images=[example.image for example in examples],
        text=[prompt.text for _, prompt in prompts],
        image_index=[place for place, _ in prompts],
        return_tensors="pt",
        **boxes,
    )
