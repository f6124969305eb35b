"""A model on held-out examples: predict, compare, in memory.

examples -> datapoints, one per prompt ---------------------------------.
examples -> batches of images -> batches of prompts -> detections -------+-> metrics for masks and boxes
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch

from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.evaluation.datapoints import IOU_TYPES, Datapoint, Detections, GroundTruth, IouType, Objects
from sam3_hf.evaluation.detecting import predict
from sam3_hf.evaluation.images import evaluate_images
from sam3_hf.ops.masks import encode_rle


def evaluate_model(
    model: Any,
    processor: Any,
    examples: Iterable[ImageExample] | Any,
    *,
    iou_types: Sequence[IouType] = IOU_TYPES,
    images_at_once: int = 1,
    prompts_at_once: int = 16,
) -> dict[str, float | int]:
    """cgF1, IL_MCC, pmF1 and the others of `concept_scores`, named `segm_cgF1`, `bbox_cgF1`, ..., as fractions.

    The numbers are those that a prediction file of the same model gives. The model runs in evaluation mode and without
    gradients, and is left as it was; precision is the caller's (`torch.autocast`).

    Args:
        model: A `Sam3Model`, or what wraps one and has its methods; images go to its device.
        processor: Its `Sam3Processor`.
        examples: Images with prompts, or a dataset with a length and places; each is read once, a few at a time. A
            prompt without objects is a negative one.
        iou_types: "segm" for masks, "bbox" for boxes. Prompts with an object that has no mask are left out of "segm".
        images_at_once: Images in one pass of the vision encoder.
        prompts_at_once: Prompts in one pass of the detector.

    Raises:
        ValueError: No example, or no object that has what is compared.
    """
    predictions: dict[int, Detections] = {}
    datapoints: dict[IouType, dict[int, Datapoint]] = {iou_type: {} for iou_type in iou_types}
    with evaluating(model):
        for batch in batches(_each(examples), images_at_once):
            annotated = [(example, prompt) for example in batch for prompt in example.prompts]
            found = predict(model, processor, batch, prompts_at_once, with_masks="segm" in iou_types)
            first = len(predictions)
            predictions |= dict(enumerate(found, start=first))
            for iou_type, known in datapoints.items():
                known |= {id: datapoint_of(id, *one, iou_type) for id, one in enumerate(annotated, start=first)}
    return {
        f"{iou_type}_{name}": value
        for iou_type, known in datapoints.items()
        for name, value in evaluate_images(predictions, [_truth(known, iou_type)], iou_type).items()
    }


def datapoint_of(id: int, example: ImageExample, prompt: PromptExample, iou_type: IouType) -> Datapoint:
    """What is annotated for one prompt, relative to the image; not exhaustive where a mask is missing and needed."""
    width, height = example.image.size
    corners = np.asarray(prompt.boxes_xyxy_px, np.float64).reshape(-1, 4) / [width, height, width, height]
    boxes_xywh = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    complete = iou_type == "bbox" or has_all_masks(prompt)
    masks = _codes(prompt) if iou_type == "segm" and complete else None
    return Datapoint(id, Objects(boxes_xywh, masks), complete, (height, width), prompt.text)


def has_all_masks(prompt: PromptExample) -> bool:
    """Whether every object has a mask, as none at all do."""
    if prompt.masks is None:
        return len(prompt.boxes_xyxy_px) == 0
    return prompt.mask_valid is None or bool(prompt.mask_valid.all())


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """So many items at a time; fewer in the end.

    Raises:
        ValueError: `size` is below 1.
    """
    if size < 1:
        raise ValueError(f"A batch needs at least one item; got {size}.")
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module is in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    try:
        with torch.no_grad():
            model.eval()
            yield
    finally:
        for module in training:
            module.training = True


def _each(examples: Any) -> Iterable[ImageExample]:
    """Examples of what can be iterated, or only has a length and places."""
    if isinstance(examples, Iterable):
        return examples
    return (examples[place] for place in range(len(examples)))


def _codes(prompt: PromptExample) -> list[dict[str, Any]]:
    masks = [] if prompt.masks is None else np.asarray(prompt.masks)
    return [encode_rle(torch.from_numpy(mask)) for mask in masks]


def _truth(datapoints: dict[int, Datapoint], iou_type: IouType) -> GroundTruth:
    if not datapoints:
        raise ValueError("Pass at least one example.")
    if iou_type == "segm" and not any(datapoint.objects.masks for datapoint in datapoints.values()):
        raise ValueError('No example holds the mask of an object; pass iou_types=["bbox"].')
    return GroundTruth(datapoints, name="the examples")
