"""How well one object's masks are followed through a video: J and F as DAVIS 2017 defines them.

masks [T, H, W] or run-length codes per frame, of each object -> J: IoU of regions; F: agreement of outlines -> J&F
"""

from collections.abc import Mapping, Sequence
from math import ceil, hypot
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from sam3_hf.extras import needed
from sam3_hf.ops.masks import decode_rle

# Outlines may lie this share of the image's diagonal apart.
_TOLERANCE = 0.008


class TrackingScores(NamedTuple):
    """Means over frames, then over objects, as fractions; `objects` holds J and F of each object by its id."""

    j: float
    f: float
    objects: dict[Any, tuple[float, float]]

    @property
    def j_and_f(self) -> float:
        """The mean of both."""
        return (self.j + self.f) / 2


def tracking_scores(
    found: Mapping[Any, Any], annotated: Mapping[Any, Any], *, skip_ends: bool = True
) -> TrackingScores:
    """J and F of every annotated object of a video.

    Args:
        found: Masks by object: (frames, height, width) booleans, or per frame a run-length code, or `None` where the
            object is absent. An object that is not there counts as never found; others than those annotated do not
            count.
        annotated: Likewise, what is right.
        skip_ends: Leave out the first frame, which is given, and the last one, as DAVIS does.

    Raises:
        ValueError: No object or frame to judge, or videos of different lengths or sizes.
    """
    if not annotated:
        raise ValueError("Pass at least one annotated object.")
    objects = {}
    for name, sequence in annotated.items():
        right = as_masks(sequence)
        masks = as_masks(found[name], right.shape[1:]) if name in found else np.zeros_like(right)
        if masks.shape != right.shape:
            raise ValueError(f"Object {name}: found masks {masks.shape}, annotated {right.shape}; they must be alike.")
        frames = slice(1, -1) if skip_ends else slice(None)
        if not len(right[frames]):
            raise ValueError(f"Object {name}: {len(right)} frames leave none to judge; pass skip_ends=False.")
        scores = region_similarity(masks[frames], right[frames]), contour_accuracy(masks[frames], right[frames])
        objects[name] = tuple(float(values.mean()) for values in scores)
    j, f = np.mean(list(objects.values()), axis=0)
    return TrackingScores(float(j), float(f), objects)


def region_similarity(found: Bool[np.ndarray, "T H W"], annotated: Bool[np.ndarray, "T H W"]) -> Float[np.ndarray, "T"]:
    """J of each frame: IoU, 1 where both are empty."""
    union = (found | annotated).sum(axis=(1, 2))
    return np.where(union == 0, 1.0, (found & annotated).sum(axis=(1, 2)) / np.maximum(union, 1))


def contour_accuracy(found: Bool[np.ndarray, "T H W"], annotated: Bool[np.ndarray, "T H W"]) -> Float[np.ndarray, "T"]:
    """F of each frame: F1 of the outlines' pixels that lie near the other outline; 1 where both are empty."""
    return np.array([_outline_f1(*frame) for frame in zip(found, annotated, strict=True)])


def outline(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels that differ from the one to the right, below, or both; the image's edge is no outline."""
    padded = np.pad(mask, (0, 1), mode="edge")
    here = padded[:-1, :-1]
    return (here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:])


def as_masks(sequence: Any, size: Sequence[int] | None = None) -> Bool[np.ndarray, "T H W"]:
    """Masks as booleans, from booleans, or run-length codes of which absent ones are `None`; `size` where all are."""
    if isinstance(sequence, (np.ndarray, torch.Tensor)):
        masks = np.asarray(sequence.cpu() if isinstance(sequence, torch.Tensor) else sequence)
        if masks.ndim != 3 or masks.dtype != bool:
            raise ValueError(f"Masks must be booleans (frames, height, width), got {masks.dtype} {masks.shape}.")
        return masks
    size = next((code["size"] for code in sequence if code is not None), size)
    if size is None:
        raise ValueError("A sequence without any mask does not say its size; pass booleans (frames, height, width).")
    empty = np.zeros(tuple(size), bool)
    return np.stack([empty if code is None else decode_rle(code).numpy() for code in sequence])


def _outline_f1(found: Bool[np.ndarray, "H W"], annotated: Bool[np.ndarray, "H W"]) -> float:
    outlines = outline(found), outline(annotated)
    if not outlines[0].any() or not outlines[1].any():
        return float(outlines[0].any() == outlines[1].any())
    reach = ceil(_TOLERANCE * hypot(*found.shape))
    near = [_within(reach, other) for other in outlines]
    precision, recall = near[1][outlines[0]].mean(), near[0][outlines[1]].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _within(reach: int, pixels: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Where one of the pixels is no further away: what a disk of this radius paints."""
    return needed("scipy.ndimage", "eval").distance_transform_edt(~pixels) <= reach
