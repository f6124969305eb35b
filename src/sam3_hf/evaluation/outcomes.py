"""One datapoint: how many objects were found, invented and missed, at ten thresholds of IoU.

IoU [found, annotated] -> one assignment, whatever the scores -> Outcome
outcomes of several annotators -> the one that counts
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sam3_hf.extras import needed

IOU_THRESHOLDS: Float[np.ndarray, "10"] = np.linspace(0.5, 0.95, 10)
EPSILON = 1e-4


@dataclass(frozen=True)
class Outcome:
    """Counts at each of `IOU_THRESHOLDS`.

    Args:
        found: Number of detections.
        annotated: Number of annotated objects.
        true_positives: Assigned pairs whose IoU reaches the threshold.
    """

    found: int
    annotated: int
    true_positives: Float[np.ndarray, "10"]

    @property
    def level(self) -> str:
        """Whether presence was told rightly: "TP", "FP", "FN" or "TN"."""
        if self.found:
            return "TP" if self.annotated else "FP"
        return "FN" if self.annotated else "TN"

    @property
    def false_positives(self) -> Float[np.ndarray, "10"]:
        """Detections without an object."""
        return self.found - self.true_positives

    @property
    def false_negatives(self) -> Float[np.ndarray, "10"]:
        """Objects without a detection."""
        return self.annotated - self.true_positives

    @property
    def local_f1(self) -> Float[np.ndarray, "10"]:
        """F1 of this datapoint alone."""
        precision = self.true_positives / (self.found + EPSILON)
        recall = self.true_positives / (self.annotated + EPSILON)
        return f1(precision, recall)


def f1(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Harmonic mean, 0 for two zeros."""
    return 2 * precision * recall / (precision + recall + EPSILON)


def outcome_of(ious: Float[np.ndarray, "n m"]) -> Outcome:
    """Counts of the assignment with the largest sum of IoU, made once for all thresholds."""
    rows, columns = needed("scipy.optimize", "eval").linear_sum_assignment(ious, maximize=True)
    assigned = ious[rows, columns]
    found, annotated = ious.shape
    return Outcome(found, annotated, (assigned >= IOU_THRESHOLDS[:, None]).sum(axis=1).astype(float))


def best_of(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome that counts among those of several annotators, in their order.

    A true negative is never given up; otherwise the largest mean local F1 wins, and the earlier of two alike.
    """
    best = outcomes[0]
    for other in outcomes[1:]:
        better = best.level != "TN" and other.local_f1.mean() > best.local_f1.mean()
        if other.level == "TN" or better:
            best = other
    return best
