"""What image metrics compare: per datapoint, an image with a noun phrase, what is annotated and what was found.

ground truth -> datapoints -> Objects <-- overlaps --> Detections <- predictions
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

IouType = Literal["segm", "bbox"]
IOU_TYPES: tuple[IouType, ...] = ("segm", "bbox")


@dataclass(frozen=True)
class Objects:
    """Boxes and masks of objects, in the same order; `None` is what was not read, or is not annotated.

    Args:
        boxes_xywh: (objects, 4) left, top, width, height, relative to the image (SA-Co) or in pixels (COCO).
        masks: COCO's compressed run-length codes.
    """

    boxes_xywh: Float[np.ndarray, "n 4"] | None
    masks: list[dict[str, Any]] | None

    def shapes(self, iou_type: IouType) -> Any:
        """The masks for `"segm"`, the boxes for `"bbox"`.

        Raises:
            ValueError: They are not there.
        """
        shapes = self.masks if iou_type == "segm" else self.boxes_xywh
        if shapes is None:
            raise ValueError(f"There are no {'masks' if iou_type == 'segm' else 'boxes'} to compare.")
        return shapes

    def take(self, places: Int[np.ndarray, " k"]) -> "Objects":
        """Some of the objects."""
        return Objects(
            None if self.boxes_xywh is None else self.boxes_xywh[places],
            None if self.masks is None else [self.masks[place] for place in places],
        )


@dataclass(frozen=True)
class Detections:
    """Objects found in one datapoint, each with a score in 0..1 and a category."""

    objects: Objects
    scores: Float[np.ndarray, " n"]
    categories: Int[np.ndarray, " n"]


@dataclass(frozen=True)
class Datapoint:
    """An image with a noun phrase, and the objects annotated for it, without groups (`iscrowd`).

    Args:
        id: Number of the pair of image and phrase.
        objects: None of them makes it a negative datapoint.
        exhaustive: Whether all instances are annotated, each by itself; others are not evaluated.
        size: (height, width) of the image.
        text: The noun phrase; `None` where a file does not say it.
        file_name: Path of the image below the folder of images.
    """

    id: int
    objects: Objects
    exhaustive: bool
    size: tuple[int, int]
    text: str | None = None
    file_name: str = ""


@dataclass(frozen=True)
class GroundTruth:
    """What one annotator says: datapoints by their id, in the order of the file.

    Args:
        datapoints: Datapoint of each id.
        categories: Detections of other categories are dropped.
        name: Where it is from, for errors.
    """

    datapoints: dict[int, Datapoint]
    categories: frozenset[int] = field(default_factory=lambda: frozenset({1}))
    name: str = "ground truth"


def check_iou_type(iou_type: str) -> None:
    """Refuse anything but `"segm"` and `"bbox"`."""
    if iou_type not in IOU_TYPES:
        raise ValueError(f"iou_type must be segm or bbox, got {iou_type!r}.")
