"""Average precision of masklets, by COCO's rules with the IoU of volumes.

samples of one class: IoU, scores, groups -> matches, the surest first -> precision at 101 recalls -> AP per threshold
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from sam3_hf.evaluation.outcomes import IOU_THRESHOLDS

_MOST = 100
_RECALLS: Float[np.ndarray, "101"] = np.linspace(0, 1, 101)


class Sample(NamedTuple):
    """What was found in one video and what is annotated there; groups are neither right nor wrong to find."""

    ious: Float[np.ndarray, "D G"]
    scores: Float[np.ndarray, " D"]
    crowd: Bool[np.ndarray, " G"]


class _Matches(NamedTuple):
    """Of each threshold and each detection, the surest first: whether it is right, and whether it counts."""

    right: Bool[np.ndarray, "10 D"]
    counted: Bool[np.ndarray, "10 D"]
    scores: Float[np.ndarray, " D"]


def masklet_ap(samples: Sequence[Sample]) -> Float[np.ndarray, "10"] | None:
    """AP at each threshold of IoU; `None` where no object is annotated."""
    objects = sum(int((~sample.crowd).sum()) for sample in samples)
    if not objects:
        return None
    parts = [_match(sample) for sample in samples]
    order = np.argsort(-np.concatenate([part.scores for part in parts]), kind="stable")
    right, counted = (np.concatenate([part[i] for part in parts], axis=1)[:, order] for i in range(2))
    return np.array([_average(*hits, objects) for hits in zip(right, counted, strict=True)])


def _match(sample: Sample) -> _Matches:
    order = np.argsort(-sample.scores, kind="stable")[:_MOST]
    columns = np.argsort(sample.crowd, kind="stable")
    ious, crowd = sample.ious[order][:, columns], sample.crowd[columns]
    right, counted = np.zeros((2, len(IOU_THRESHOLDS), len(order)), dtype=bool)
    for number, threshold in enumerate(IOU_THRESHOLDS):
        taken = np.zeros(len(crowd), dtype=bool)
        for row, candidates in enumerate(ious):
            best = _best(np.where(taken & ~crowd, -1, candidates), crowd, threshold)
            right[number, row] = best is not None and not crowd[best]
            counted[number, row] = best is None or not crowd[best]
            if best is not None:
                taken[best] = True
    return _Matches(right, counted, sample.scores[order])


def _best(candidates: Float[np.ndarray, " G"], crowd: Bool[np.ndarray, " G"], threshold: float) -> int | None:
    """The object that overlaps most, the later of two alike; a group only where no object reaches the threshold."""
    for kind in (~crowd, crowd):
        reached = np.flatnonzero(kind & (candidates >= min(threshold, 1 - 1e-10)))
        if len(reached):
            best = candidates[reached].max()
            return int(reached[candidates[reached] == best][-1])
    return None


def _average(right: Bool[np.ndarray, " D"], counted: Bool[np.ndarray, " D"], objects: int) -> float:
    tp, fp = (right & counted).cumsum(), (~right & counted).cumsum()
    recall, precision = tp / objects, tp / (tp + fp + np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.append(envelope, 0.0)[places].mean())
