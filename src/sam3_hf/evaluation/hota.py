"""HOTA: how well objects are found, and how well they keep their identity, as TrackEval computes it.

IoU per frame, who is there when -> one sequence's counts at 19 thresholds -> all sequences -> HOTA, DetA, AssA, ...
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from sam3_hf.extras import needed

ALPHAS: Float[np.ndarray, "19"] = np.arange(0.05, 0.99, 0.05)
_TINY = 1e-10


class HotaCounts(NamedTuple):
    """Sums of one sequence, or of several, at each of `ALPHAS`; `ass_...` are weighted with the true positives."""

    tp: Float[np.ndarray, "19"]
    fn: Float[np.ndarray, "19"]
    fp: Float[np.ndarray, "19"]
    similarity: Float[np.ndarray, "19"]
    ass_a: Float[np.ndarray, "19"]
    ass_re: Float[np.ndarray, "19"]
    ass_pr: Float[np.ndarray, "19"]

    @classmethod
    def total(cls, counts: Sequence["HotaCounts"]) -> "HotaCounts":
        """The sum of several sequences."""
        return cls(*np.sum(counts, axis=0)) if counts else cls(*np.zeros((7, len(ALPHAS))))


def hota_counts(
    ious: Float[np.ndarray, "T D G"], found: Bool[np.ndarray, "T D"], annotated: Bool[np.ndarray, "T G"]
) -> HotaCounts:
    """Counts of one sequence, from the IoU in each frame and which masklets are there."""
    ious = (ious * found[:, :, None] * annotated[:, None, :]).swapaxes(1, 2)
    annotated_frames, found_frames = annotated.sum(axis=0)[:, None], found.sum(axis=0)[None, :]
    alignment = _alignment(ious, annotated_frames, found_frames)
    tp, similarity = np.zeros(len(ALPHAS)), np.zeros(len(ALPHAS))
    matches = np.zeros((len(ALPHAS), *alignment.shape))
    for frame in range(len(ious)):
        rows, columns = np.flatnonzero(annotated[frame]), np.flatnonzero(found[frame])
        iou = ious[frame][np.ix_(rows, columns)]
        pairs = needed("scipy.optimize", "eval").linear_sum_assignment(
            alignment[np.ix_(rows, columns)] * iou, maximize=True
        )
        matched = iou[pairs] >= ALPHAS[:, None] - np.finfo(float).eps
        tp += matched.sum(axis=1)
        similarity += (matched * iou[pairs]).sum(axis=1)
        matches[:, rows[pairs[0]], columns[pairs[1]]] += matched
    either = np.maximum(1, annotated_frames + found_frames - matches)
    shares = (either, np.maximum(1, annotated_frames), np.maximum(1, found_frames))
    associations = [(matches * matches / share).sum(axis=(1, 2)) for share in shares]
    return HotaCounts(tp, annotated.sum() - tp, found.sum() - tp, similarity, *associations)


def hota_scores(counts: HotaCounts) -> dict[str, float]:
    """HOTA and what it is made of, each the mean over the thresholds."""
    tp, fn, fp, similarity, *associations = counts
    detection, recall, precision = (tp / np.maximum(1, tp + errors) for errors in (fn + fp, fn, fp))
    association, association_recall, association_precision = (sums / np.maximum(1, tp) for sums in associations)
    curves = {
        "HOTA": np.sqrt(detection * association),
        "DetA": detection,
        "AssA": association,
        "DetRe": recall,
        "DetPr": precision,
        "AssRe": association_recall,
        "AssPr": association_precision,
        "LocA": np.maximum(_TINY, similarity) / np.maximum(_TINY, tp),
        "OWTA": np.sqrt(recall * association),
    }
    return {name: float(curve.mean()) for name, curve in curves.items()}


def _alignment(
    ious: Float[np.ndarray, "T G D"], annotated_frames: np.ndarray, found_frames: np.ndarray
) -> Float[np.ndarray, "G D"]:
    """How much two tracks belong together over the whole sequence."""
    totals = ious.sum(axis=1, keepdims=True) + ious.sum(axis=2, keepdims=True) - ious
    together = np.divide(ious, totals, out=np.zeros_like(ious), where=totals > np.finfo(float).eps).sum(axis=0)
    either = annotated_frames + found_frames - together
    return np.divide(together, either, out=np.zeros_like(together), where=either > 0)
