"""Overlay: the image with every object's mask, outline, box and label.

image [3, H, W] + instances -> tinted masks, large ones first -> outlines -> boxes -> labels -> RGB picture
"""

import math
from statistics import NormalDist
from typing import Any, NamedTuple

from jaxtyping import Bool, Shaped
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from sam3_hf.inputs.images import read_image
from sam3_hf.ops.masks import boxes_of_masks
from sam3_hf.results import CodedInstance, ImageSegmentation, Instance
from sam3_hf.visualization.colours import Colour, colour_of
from sam3_hf.visualization.labels import Place, Plate, free_place, shorten

_TINT, _SHADE, _FRAME = 0.42, 0.45, 0.75


class Mark(NamedTuple):
    """An object as it is drawn."""

    instance: Instance | CodedInstance
    label: str
    colour: Colour


def draw_overlay(image: Any, segmentation: ImageSegmentation) -> Image.Image:
    """Show what was found: a picture of the image's size, upright.

    Labels that would cover another are left out; the letters of Pillow's own font are Latin.

    Args:
        image: The image that was segmented, in any form that `segment` takes.
        segmentation: What was found in it.

    Raises:
        ValueError: The image has another size than the one segmented.
    """
    pixels = read_image(image, None, True)
    if tuple(pixels.shape[1:]) != segmentation.size:
        raise ValueError(f"This image is {tuple(pixels.shape[1:])}, the one segmented was {segmentation.size}.")
    return draw_marks(as_picture(pixels), _marks(segmentation))


def draw_marks(picture: Image.Image, marks: list[Mark]) -> Image.Image:
    """Draw objects on a picture, which is changed and returned."""
    size = (picture.height, picture.width)
    width = _line_width(size)
    for mark in sorted(marks, key=lambda mark: -mark.instance.area):
        _draw_mask(picture, mark, width)
    for mark in marks:
        _draw_frame(picture, mark, max(1, round(width / 2)))
    _draw_labels(picture, marks, _font_size(size))
    return picture


def as_picture(pixels: Shaped[Tensor, "3 H W"]) -> Image.Image:
    """RGB values in 0..255 as a PIL image."""
    return Image.fromarray(pixels.clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy().copy())


def _marks(segmentation: ImageSegmentation) -> list[Mark]:
    """All objects of all prompts; colours go on counting from prompt to prompt."""
    found = [
        (shorten(result.prompt.label), instance) for result in segmentation.results for instance in result.instances
    ]
    return [
        Mark(instance, f"{label} {instance.score:.2f}", colour_of(number))
        for number, (label, instance) in enumerate(found)
    ]


def _line_width(size: tuple[int, int]) -> float:
    return max(1.5, math.sqrt(size[0] * size[1]) / 400)


def _font_size(size: tuple[int, int]) -> int:
    return max(9, round(math.sqrt(size[0] * size[1]) / 45))


def _draw_mask(picture: Image.Image, mark: Mark, width: float) -> None:
    """Tint the object's pixels and draw a smooth line along their edge, with a shadow that sets it off."""
    mask = mark.instance.mask
    left, top, right, bottom = boxes_of_masks(mask[None])[0].tolist()
    if right == left:
        return
    margin = math.ceil(3 * width)
    place = (
        max(left - margin, 0),
        max(top - margin, 0),
        min(right + margin, picture.width),
        min(bottom + margin, picture.height),
    )
    cut = _as_grey(mask[place[1] : place[3], place[0] : place[2]])
    picture.paste(mark.colour, place, cut.point([round(value * _TINT) for value in range(256)]))
    blurred = cut.filter(ImageFilter.GaussianBlur(width))
    picture.paste((0, 0, 0), place, blurred.point(_along_edge(width, 1.8 * width, _SHADE)))
    picture.paste(mark.colour, place, blurred.point(_along_edge(width, width, 1.0)))


def _as_grey(mask: Bool[Tensor, "H W"]) -> Image.Image:
    return Image.fromarray(mask.byte().mul(255).cpu().numpy())


def _along_edge(blur: float, width: float, opacity: float) -> list[int]:
    """Opacity of a line along the edge of a blurred mask, for each of its 256 values.

    Blurring a straight edge gives the normal distribution, so a value tells how far the edge is; half a pixel of
    transition on each side of the line makes it smooth.
    """
    levels = ((value + 0.5) / 256 for value in range(256))
    distances = (abs(blur * NormalDist().inv_cdf(level)) for level in levels)
    return [round(255 * opacity * min(max(0.5 + width / 2 - distance, 0), 1)) for distance in distances]


def _draw_frame(picture: Image.Image, mark: Mark, width: int) -> None:
    """The box, translucent."""
    place = _pixels(mark.instance, picture.size)
    stencil = Image.new("L", (place[2] - place[0], place[3] - place[1]))
    frame = (0, 0, stencil.width - 1, stencil.height - 1)
    ImageDraw.Draw(stencil).rectangle(frame, outline=round(255 * _FRAME), width=width)
    picture.paste(mark.colour, place, stencil)


def _draw_labels(picture: Image.Image, marks: list[Mark], font_size: int) -> None:
    """Labels, the surest objects first, as long as there is room."""
    taken: list[Place] = []
    for mark in sorted(marks, key=lambda mark: -mark.instance.score):
        plate = Plate.of(mark.label, font_size)
        place = free_place(_pixels(mark.instance, picture.size), plate.size, picture.size, taken)
        if place is not None:
            plate.draw(picture, place, mark.colour)
            taken.append(place)


def _pixels(instance: Instance | CodedInstance, canvas: tuple[int, int]) -> Place:
    """The whole pixels of a box that lie on a canvas (width, height), at least one."""
    x1, y1, x2, y2 = instance.box_xyxy_px
    left, top = (min(max(math.floor(edge), 0), side - 1) for edge, side in zip((x1, y1), canvas, strict=True))
    right, bottom = (min(math.ceil(edge), side) for edge, side in zip((x2, y2), canvas, strict=True))
    return left, top, max(right, left + 1), max(bottom, top + 1)
