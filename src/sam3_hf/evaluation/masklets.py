"""Objects in videos, and how much they overlap.

masklets found [D], annotated [G] -> Overlaps: intersections [T, D, G], areas [T, D], [T, G] -> IoU of frames, volumes
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from sam3_hf.evaluation.datapoints import IouType
from sam3_hf.evaluation.overlaps import iou
from sam3_hf.extras import needed


@dataclass(frozen=True)
class Masklet:
    """One object through a video of so many frames.

    Args:
        masks: Per frame a compressed run-length code, or `None` where there is none.
        boxes_xywh_px: (frames, 4), zeros where there is none.
        score: How sure the model is; 1 for what is annotated.
        crowd: Whether this is a group, not an object.
    """

    masks: list[dict[str, Any] | None]
    boxes_xywh_px: Float[np.ndarray, "T 4"]
    score: float = 1.0
    crowd: bool = False

    @property
    def mask_areas(self) -> Float[np.ndarray, "T"]:
        """Number of pixels of each mask."""
        area = needed("pycocotools.mask", "eval").area
        return np.array([0.0 if mask is None else float(area(mask)) for mask in self.masks])

    @property
    def present(self) -> Bool[np.ndarray, "T"]:
        """Frames with a mask that is not empty and a box that is not all zeros."""
        return (self.mask_areas > 0) & self.boxes_xywh_px.any(axis=1)


@dataclass(frozen=True)
class Pair:
    """A phrase in a video: what was found for it, and what is annotated."""

    video_id: int
    category_id: int
    frames: int
    found: list[Masklet] = field(default_factory=list)
    annotated: list[Masklet] = field(default_factory=list)


class Overlaps(NamedTuple):
    """What every masklet found has in common with every one that is annotated, frame by frame."""

    intersections: Float[np.ndarray, "T D G"]
    found_areas: Float[np.ndarray, "T D"]
    annotated_areas: Float[np.ndarray, "T G"]

    @classmethod
    def of(cls, pair: Pair, iou_type: IouType) -> "Overlaps":
        """Overlaps of masks ("segm") or of boxes ("bbox")."""
        parts = _of_masks if iou_type == "segm" else _of_boxes
        return cls(*parts(pair.found, pair.annotated, pair.frames))

    @property
    def unions(self) -> Float[np.ndarray, "T D G"]:
        """Area that one or both cover."""
        return self.found_areas[:, :, None] + self.annotated_areas[:, None, :] - self.intersections

    def of_frames(self) -> Float[np.ndarray, "T D G"]:
        """IoU in each frame, 0 where nothing is there."""
        unions = self.unions
        return np.divide(self.intersections, unions, out=np.zeros_like(unions), where=unions > 0)

    def of_volumes(self) -> Float[np.ndarray, "D G"]:
        """IoU of all frames together, 1 where nothing is there."""
        unions = self.unions.sum(axis=0)
        return np.divide(self.intersections.sum(axis=0), unions, out=np.ones_like(unions), where=unions > 0)


def _of_masks(found: Sequence[Masklet], annotated: Sequence[Masklet], frames: int) -> tuple[np.ndarray, ...]:
    areas = [_stack([masklet.mask_areas for masklet in side], frames) for side in (found, annotated)]
    ious = np.zeros((frames, len(found), len(annotated)))
    for frame in range(frames):
        codes = [{place: masklet.masks[frame] for place, masklet in enumerate(side)} for side in (found, annotated)]
        rows, columns = ([place for place, mask in side.items() if mask is not None] for side in codes)
        ious[frame][np.ix_(rows, columns)] = iou(
            [codes[0][row] for row in rows], [codes[1][column] for column in columns]
        )
    # An intersection is a whole number, so rounding undoes what the division lost.
    return np.rint(ious * (areas[0][:, :, None] + areas[1][:, None, :]) / (1 + ious)), *areas


def _of_boxes(found: Sequence[Masklet], annotated: Sequence[Masklet], frames: int) -> tuple[np.ndarray, ...]:
    sides = [
        np.array([m.boxes_xywh_px for m in side]).reshape(-1, frames, 4).swapaxes(0, 1) for side in (found, annotated)
    ]
    (start, stop), (other_start, other_stop) = ((side[..., :2], side[..., :2] + side[..., 2:]) for side in sides)
    lengths = np.minimum(stop[:, :, None], other_stop[:, None]) - np.maximum(start[:, :, None], other_start[:, None])
    return lengths.clip(0).prod(axis=-1), *(side[..., 2:].prod(axis=-1) for side in sides)


def _stack(rows: list[np.ndarray], frames: int) -> Float[np.ndarray, "T N"]:
    return np.array(rows, np.float64).reshape(-1, frames).T
