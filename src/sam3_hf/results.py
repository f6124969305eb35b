"""What segmentation finds in an image, prompt by prompt, and the form that JSON files hold it in.

ImageSegmentation -> prompts -> instances: score, box, mask -> dictionary of numbers, strings and run-length codes
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxtyping import Bool
from torch import Tensor

from sam3_hf.ops.masks import area_of_rle, decode_rle, encode_rle

_SCORE_DIGITS, _PIXEL_DIGITS = 6, 3


class ExampleBox(NamedTuple):
    """Corners in pixels of the upright image; the objects sought look like what a positive box holds."""

    x1: float
    y1: float
    x2: float
    y2: float
    positive: bool = True


class Prompt(NamedTuple):
    """A text, example boxes, or both; no text where boxes alone say what to look for."""

    text: str | None
    boxes: tuple[ExampleBox, ...] = ()

    @property
    def label(self) -> str:
        """A short name for people."""
        return "example" if self.text is None else self.text


class Instance(NamedTuple):
    """One object: how sure the model is (0..1), where it is, and which pixels are its own.

    The box is the model's own answer; it is not cut at the image's edge, nor computed from the mask.
    """

    score: float
    box_xyxy_px: tuple[float, float, float, float]
    mask: Bool[Tensor, "H W"]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.mask.sum())

    def rle(self) -> dict[str, Any]:
        """The mask in COCO's compressed run-length code."""
        return encode_rle(self.mask)


class CodedInstance(NamedTuple):
    """An `Instance` whose mask is kept in COCO's compressed run-length code, a thousandth of the memory."""

    score: float
    box_xyxy_px: tuple[float, float, float, float]
    code: dict[str, Any]

    @property
    def mask(self) -> Bool[Tensor, "H W"]:
        """The pixels, drawn anew each time."""
        return decode_rle(self.code)

    @property
    def area(self) -> int:
        """Number of pixels."""
        return area_of_rle(self.code)

    def rle(self) -> dict[str, Any]:
        """The mask in COCO's compressed run-length code."""
        return self.code


class PromptResult(NamedTuple):
    """What one prompt found, the surest first."""

    prompt: Prompt
    instances: Sequence[Instance | CodedInstance]


class ImageSegmentation(NamedTuple):
    """What every prompt found in one image of `size` (height, width)."""

    size: tuple[int, int]
    results: list[PromptResult]

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and dictionaries only; boxes in pixels, masks as COCO run-length codes."""
        return {"size": list(self.size), "prompts": [_prompt_to_dict(result) for result in self.results]}


def _prompt_to_dict(result: PromptResult) -> dict[str, Any]:
    return {
        "text": result.prompt.text,
        "boxes": [{"box": list(box[:4]), "positive": box.positive} for box in result.prompt.boxes],
        "objects": [_instance_to_dict(instance) for instance in result.instances],
    }


def _instance_to_dict(instance: Instance | CodedInstance) -> dict[str, Any]:
    return {
        "score": round(instance.score, _SCORE_DIGITS),
        "box": [round(edge, _PIXEL_DIGITS) for edge in instance.box_xyxy_px],
        "area": instance.area,
        "mask": instance.rle(),
    }
