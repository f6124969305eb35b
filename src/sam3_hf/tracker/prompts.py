"""Prompts on objects: points and boxes of many objects in many images, as one padded list of points per object.

input_points [B, O, N, 2], input_labels [B, O, N], input_boxes [B, O, 4] -> Clicks: points [R, M, 2], labels [R, M]

An object is a row: row r is object r % O of image r // O. Coordinates are pixels of the model's input.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

BACKGROUND, FOREGROUND, FIRST_CORNER, SECOND_CORNER = 0, 1, 2, 3
NOT_A_POINT = -1
PADDING = -10


class Clicks(NamedTuple):
    """Points of each object and what each says; corners of a box are two points."""

    points: Float[Tensor, "R M 2"]
    labels: Int[Tensor, "R M"]

    @classmethod
    def none(cls, rows: int, device: torch.device) -> "Clicks":
        """No points at all."""
        return cls(torch.zeros(rows, 0, 2, device=device), torch.zeros(rows, 0, dtype=torch.long, device=device))

    @classmethod
    def of_nothing(cls, rows: int, device: torch.device) -> "Clicks":
        """One token each that says that it is no point."""
        return cls(
            torch.zeros(rows, 1, 2, device=device),
            torch.full((rows, 1), NOT_A_POINT, dtype=torch.long, device=device),
        )

    @classmethod
    def of_points(cls, points: Float[Tensor, "B O N 2"], labels: Int[Tensor, "B O N"] | None) -> "Clicks":
        """Points as the processor pads them; without labels every point is on the object."""
        labels = torch.full_like(points[..., 0], FOREGROUND, dtype=torch.long) if labels is None else labels.long()
        return cls(points.float().flatten(0, 1), labels.flatten(0, 1))

    @classmethod
    def of_boxes(cls, boxes: Float[Tensor, "B O 4"]) -> "Clicks":
        """The corners of each object's box; a box of nothing but padding is none."""
        corners = torch.tensor([FIRST_CORNER, SECOND_CORNER], device=boxes.device).expand(*boxes.shape[:2], 2)
        labels = corners.masked_fill((boxes == PADDING).all(-1, keepdim=True), PADDING)
        return cls(boxes.float().unflatten(-1, (2, 2)).flatten(0, 1), labels.flatten(0, 1))

    def then(self, others: "Clicks") -> "Clicks":
        """These points, and after them those of the same objects in `others`."""
        return Clicks(torch.cat([self.points, others.points], 1), torch.cat([self.labels, others.labels], 1))


class ObjectPrompts(NamedTuple):
    """All that was said about the objects, and how many of them each image has."""

    clicks: Clicks
    masks: Float[Tensor, "R 1 h w"] | None
    objects: int

    @classmethod
    def of(
        cls,
        images: Float[Tensor, "B *S"],
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
    ) -> "ObjectPrompts":
        """Join the prompts of a call about `images`, of which only count and device matter.

        Raises:
            ValueError: Shapes that are not those of prompts, or that do not fit together.
        """
        masks = masks.unsqueeze(1) if masks is not None and masks.ndim == 3 else masks
        objects = _count_objects(len(images), points, labels, boxes, masks)
        clicks = Clicks.none(len(images) * objects, images.device)
        clicks = clicks if boxes is None else clicks.then(Clicks.of_boxes(boxes))
        clicks = clicks if points is None else clicks.then(Clicks.of_points(points, labels))
        if masks is not None:
            masks = masks.expand(-1, objects, -1, -1).flatten(0, 1).unsqueeze(1)
        return cls(clicks, masks, objects)


def _count_objects(
    images: int, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, masks: Tensor | None
) -> int:
    """Objects per image, once everything has been found to agree; one where nothing says otherwise."""
    _check("input_points", points, 4, "(images, objects, points, 2)", images)
    _check("input_boxes", boxes, 3, "(images, objects, 4)", images)
    _check("input_masks", masks, 4, "(images, height, width) or (images, objects, height, width)", images)
    if labels is not None and (points is None or labels.shape != points.shape[:3]):
        expected = "and there are no input_points" if points is None else f"expected {tuple(points.shape[:3])}"
        raise ValueError(f"input_labels has one label per point: got {tuple(labels.shape)}, {expected}.")
    if masks is not None and not masks.is_floating_point():
        raise ValueError(
            "input_masks holds logits, as pred_masks does; sam3_hf.ops.masks.mask_prompt makes them of a binary mask."
        )
    given = {"input_points": points, "input_boxes": boxes, "input_masks": masks}
    counts = {name: part.shape[1] for name, part in given.items() if part is not None}
    objects = max(counts.values(), default=1)
    if objects == 0:
        raise ValueError(f"A prompt is about at least one object; got {counts}.")
    shared = {"input_masks"} if counts.get("input_masks") == 1 else set()
    if any(count != objects for name, count in counts.items() if name not in shared):
        raise ValueError(f"Every prompt needs as many objects per image as the others; got {counts}.")
    return objects


def _check(name: str, part: Tensor | None, dimensions: int, expected: str, images: int) -> None:
    last = {"input_points": 2, "input_boxes": 4}.get(name)
    if part is not None and (part.ndim != dimensions or (last and part.shape[-1] != last) or len(part) != images):
        raise ValueError(f"{name} has shape {expected}, here for {images} image(s); got {tuple(part.shape)}.")
