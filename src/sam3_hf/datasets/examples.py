"""What every dataset gives: an image and, for each of its prompts, the objects that match.

dataset[i] -> ImageExample(image, prompts)
                                  `-> PromptExample(text, boxes, masks, example boxes)
clips[i] -> ClipExample(frames, object ids, masks, prompts)
                                                   `-> ClipPrompt(text, object ids)
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image


def no_boxes() -> Float[np.ndarray, "0 4"]:
    """No example boxes: the prompt is its text alone."""
    return np.zeros((0, 4), np.float32)


def no_labels() -> Int[np.ndarray, "0"]:
    """The labels of no example boxes."""
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class PromptExample:
    """One prompt on one image and every object that matches it; no objects make it a negative prompt.

    Args:
        text: Noun phrase; "visual" where example boxes are all there is.
        boxes_xyxy_px: (objects, 4) in pixels of the image.
        masks: (objects, height, width) at the size of the image; `None` where only boxes are annotated.
        mask_valid: (objects,) `False` where an object has a box and no mask; all true if not given.
        example_boxes_xyxy_px: (examples, 4) boxes given to the model beside the text.
        example_labels: (examples,) 1 for "like this", 0 for "not like this".
    """

    text: str
    boxes_xyxy_px: Float[np.ndarray, "n 4"]
    masks: Bool[np.ndarray, "n H W"] | None = None
    mask_valid: Bool[np.ndarray, " n"] | None = None
    example_boxes_xyxy_px: Float[np.ndarray, "k 4"] = field(default_factory=no_boxes)
    example_labels: Int[np.ndarray, " k"] = field(default_factory=no_labels)


@dataclass(frozen=True)
class ImageExample:
    """An image with its prompts.

    Args:
        image: RGB image.
        prompts: At least one prompt.
        image_id: Number of the image in its dataset.
    """

    image: Image.Image
    prompts: tuple[PromptExample, ...]
    image_id: int = 0


@dataclass(frozen=True)
class ClipPrompt:
    """One phrase for a clip and the objects it means; none make it a negative prompt.

    Args:
        text: Noun phrase.
        object_ids: Of the clip's `object_ids`, those that are meant.
    """

    text: str
    object_ids: Int[np.ndarray, " k"]


@dataclass(frozen=True)
class ClipExample:
    """A clip with the objects in it and its prompts.

    Args:
        frames: RGB images of one size.
        object_ids: (objects,) numbers that stay with the objects through the clip.
        masks: (frames, objects, height, width) pixels that are seen; empty where an object is hidden or away.
        visible: (frames, objects) share of each object that is seen, 0..1.
        prompts: At least one prompt.
        clip_id: Number of the clip in its dataset.
    """

    frames: tuple[Image.Image, ...]
    object_ids: Int[np.ndarray, " n"]
    masks: Bool[np.ndarray, "T n H W"]
    visible: Float[np.ndarray, "T n"]
    prompts: tuple[ClipPrompt, ...]
    clip_id: int = 0
