"""Segmentation from end to end: images and prompts in, objects out.

texts, boxes -> prompts -> text features, once
image -> vision features, once per image -> all prompts -> scores, boxes, masks at image size
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from sam3_hf.feature_cache import FeatureCache
from sam3_hf.inputs.images import as_list
from sam3_hf.inputs.prompts import BOXES_ONLY
from sam3_hf.inputs.texts import clean
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.ops.tokens import PaddedTokens
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.results import CodedInstance, ExampleBox, ImageSegmentation, Instance, Prompt, PromptResult
from sam3_hf.text.encoder import columns_read

# So that a long list of texts needs no more memory than a short one.
_PROMPTS_AT_ONCE = 8


def segment(  # noqa: PLR0913
    images: Any,
    text: str | Sequence[str] | None = None,
    boxes: Iterable[Sequence[float]] | None = None,
    *,
    model: Sam3Model,
    processor: Sam3Processor,
    threshold: float = 0.5,
    mask_threshold: float = 0.5,
    masks: str = "dense",
    cache: FeatureCache | None = None,
) -> Iterator[ImageSegmentation]:
    """Find all objects in each image that match each prompt, one image at a time.

    Each text is a prompt of its own; boxes refine every one of them. Without a text, the boxes are the prompt.

    Args:
        images: One image or several: file names, URLs, PIL images, arrays or tensors, as for `Sam3ImageProcessor`.
            Pixels count from the top left of the upright image, as its EXIF orientation turns it.
        text: A noun phrase or several.
        boxes: Example boxes (x1, y1, x2, y2) in pixels, for all images alike; a fifth value `False` makes an example of
            what not to find.
        model: A `Sam3Model`; images go to its device.
        processor: The `Sam3Processor` that belongs to it.
        threshold: Objects with a higher score are kept, in 0..1.
        mask_threshold: Pixels with a higher probability belong to the object, in 0..1.
        masks: `"dense"`, or `"rle"` for `CodedInstance`s, whose masks are never in memory together.
        cache: Features of earlier calls with this model, to be used and added to.

    Returns:
        One result after the other, in the order of the images; its tensors are on the CPU.

    Raises:
        ValueError: No prompt, an empty text, a box that is none or lies outside an image, a threshold out of range, or
            something that is no image.
    """
    prompts = make_prompts(text, boxes)
    check_probabilities(threshold=threshold, mask_threshold=mask_threshold)
    pictures = images if isinstance(images, (list, tuple, Iterator)) else as_list(images, dimensions=3)
    limits = {"threshold": threshold, "mask_threshold": mask_threshold, "masks": masks}
    cache = FeatureCache(model, limit=0) if cache is None else cache
    if cache.model is not model:
        raise ValueError("The cache holds features of another model; give every model a cache of its own.")
    return _Search(prompts, _text_features(prompts, cache, processor), model, processor, limits, cache).through(
        pictures
    )


def make_prompts(
    text: str | Sequence[str] | None = None, boxes: Iterable[Sequence[float]] | None = None
) -> list[Prompt]:
    """One prompt per text, each with all boxes; one of boxes alone if there is no text.

    Raises:
        ValueError: Nothing to look for, or a text or box that cannot be used.
    """
    texts = [text] if isinstance(text, str) else list(text or [])
    empty = next((text for text in texts if not clean(text)), None)
    if empty is not None:
        raise ValueError(f"A text must say what to look for; got {empty!r}.")
    examples = tuple(_read_box(box) for box in boxes or [])
    if not texts and not any(box.positive for box in examples):
        raise ValueError(
            "A negative box needs a text or a positive box beside it."
            if examples
            else "Pass a text or a box to look for."
        )
    return [Prompt(text, examples) for text in texts or [None]]


def check_probabilities(**values: float) -> None:
    """Check numbers by name.

    Raises:
        ValueError: One is not in 0..1.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in 0..1; got {value}.")


def check_boxes_inside(boxes: Iterable[ExampleBox], size: tuple[int, int]) -> None:
    """Check that every box shows a part of an image of `size` (height, width).

    Raises:
        ValueError: A box lies entirely outside.
    """
    height, width = size
    for box in boxes:
        if box.x1 >= width or box.y1 >= height or box.x2 <= 0 or box.y2 <= 0:
            corners = ",".join(f"{edge:g}" for edge in box[:4])
            raise ValueError(f"The box {corners} lies outside the image, which is {width} wide and {height} high.")


def _read_box(box: Sequence[float]) -> ExampleBox:
    if len(box) not in (4, 5):
        raise ValueError(f"A box is x1, y1, x2, y2 and perhaps whether it is positive; got {tuple(box)}.")
    corners = [float(edge) for edge in box[:4]]
    example = ExampleBox(*corners, positive=len(box) == 4 or bool(box[4]))
    if not all(map(isfinite, corners)):
        raise ValueError(f"A box needs finite corners; got {tuple(box)}.")
    if example.x2 <= example.x1 or example.y2 <= example.y1:
        raise ValueError(f"A box needs x1 < x2 and y1 < y2; got {tuple(corners)}.")
    return example


@dataclass(frozen=True)
class _Search:
    """All that stays the same from image to image."""

    prompts: list[Prompt]
    text: PaddedTokens
    model: Sam3Model
    processor: Sam3Processor
    limits: dict[str, Any]
    cache: FeatureCache

    def through(self, images: Iterable[Any]) -> Iterator[ImageSegmentation]:
        for image in images:
            # Between two images the caller's code runs, in the caller's mode.
            with torch.inference_mode():
                result = self.in_image(image)
            yield result

    def in_image(self, image: Any) -> ImageSegmentation:
        inputs = self.processor(images=image, **self._examples(), return_tensors="pt").to(self.model.device)
        height, width = inputs["original_sizes"][0].tolist()
        check_boxes_inside(self.prompts[0].boxes, (height, width))
        vision = self.cache.vision(inputs["pixel_values"])
        boxes = {name: inputs[name] for name in ("input_boxes", "input_boxes_labels") if name in inputs}
        results = []
        for start in range(0, len(self.prompts), _PROMPTS_AT_ONCE):
            rows = slice(start, start + _PROMPTS_AT_ONCE)
            text = {"text_embeds": self.text.values[rows], "attention_mask": self.text.valid[rows]}
            outputs = self.model(vision_embeds=vision, **text, **boxes)
            found = self.processor.post_process_instance_segmentation(
                outputs, **self.limits, target_sizes=[(height, width)]
            )
            results += map(_as_result, self.prompts[rows], found)
        return ImageSegmentation((height, width), results)

    def _examples(self) -> dict[str, Any]:
        """One row of boxes, which serves every text."""
        boxes = self.prompts[0].boxes
        if not boxes:
            return {}
        return {
            "input_boxes": [[box[:4] for box in boxes]],
            "input_boxes_labels": [[int(box.positive) for box in boxes]],
        }


def _text_features(prompts: list[Prompt], cache: FeatureCache, processor: Sam3Processor) -> PaddedTokens:
    """Features of every prompt's text, as many columns as the longest one needs."""
    texts = [BOXES_ONLY if prompt.text is None else prompt.text for prompt in prompts]
    inputs = processor(text=texts, return_tensors="pt").to(cache.model.device)
    text = cache.text(inputs["input_ids"], inputs["attention_mask"])
    columns = columns_read(text.attention_mask)  # pyright: ignore[reportArgumentType]
    return PaddedTokens(text.pooler_output[:, :columns], text.attention_mask[:, :columns])  # pyright: ignore


def _as_result(prompt: Prompt, found: dict[str, Any]) -> PromptResult:
    """The instances of one prompt, the surest first."""
    scores, boxes_xyxy_px = found["scores"].cpu(), found["boxes"].cpu()
    is_dense = isinstance(found["masks"], Tensor)
    kind, masks = (Instance, found["masks"].cpu()) if is_dense else (CodedInstance, found["masks"])
    order = scores.argsort(descending=True, stable=True).tolist()
    return PromptResult(prompt, [kind(scores[i].item(), tuple(boxes_xyxy_px[i].tolist()), masks[i]) for i in order])
