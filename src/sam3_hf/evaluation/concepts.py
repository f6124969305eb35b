"""All datapoints together: cgF1 and what it is made of.

outcomes -> sums per threshold -> precision, recall, F1 of positives; presence -> IL_MCC -> cgF1 = pmF1 * IL_MCC
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from sam3_hf.evaluation.outcomes import EPSILON, IOU_THRESHOLDS, Outcome, f1

_IL_EPSILON = 1e-6
# Names of the single thresholds and their places among all of them.
_SHOWN = {"0.5": 0, "0.75": 5}


def concept_scores(outcomes: Sequence[Outcome]) -> dict[str, float | int]:
    """All metrics by name, as fractions.

    A plain name is the mean over the thresholds; `name@0.5` and `name@0.75` are values at one. `IL_...` tell how well
    presence in the image is told; `pmF1` is another name of `positive_micro_F1`. `positive_macro_F1` is NaN without any
    positive datapoint in which something was found.
    """
    presence = presence_scores(outcomes)
    curves = threshold_curves(outcomes, presence["IL_MCC"])
    scores = {name: _mean(curve) for name, curve in curves.items()} | presence
    for threshold, place in _SHOWN.items():
        scores |= {f"{name}@{threshold}": float(curve[place]) for name, curve in curves.items()}
    return scores | {"datapoints": len(outcomes)}


def presence_scores(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """How well the presence of objects is told, datapoint by datapoint."""
    levels = Counter(outcome.level for outcome in outcomes)
    tp, fp, fn, tn = (levels[name] for name in ("TP", "FP", "FN", "TN"))
    precision, recall = tp / (tp + fp + _IL_EPSILON), tp / (tp + fn + _IL_EPSILON)
    spread = float(np.sqrt(float(tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))
    return {
        "IL_precision": precision,
        "IL_recall": recall,
        "IL_F1": 2 * precision * recall / (precision + recall + _IL_EPSILON),
        "IL_FPR": fp / (fp + tn + _IL_EPSILON),
        "IL_MCC": (tp * tn - fp * fn) / (spread + _IL_EPSILON),
    }


def threshold_curves(outcomes: Sequence[Outcome], mcc: float) -> dict[str, Float[np.ndarray, "10"]]:
    """Metrics at each of `IOU_THRESHOLDS`; `precision` and `F1` alone count what is found in negative datapoints."""
    positive = [outcome for outcome in outcomes if outcome.level == "TP"]
    tp, fp, fn = (_sum(outcomes, name) for name in ("true_positives", "false_positives", "false_negatives"))
    precision, recall = tp / (tp + fp + EPSILON), tp / (tp + fn + EPSILON)
    positive_precision = tp / (tp + _sum(positive, "false_positives") + EPSILON)
    positive_f1 = f1(positive_precision, recall)
    return {
        "cgF1": positive_f1 * mcc,
        "pmF1": positive_f1,
        "precision": precision,
        "recall": recall,
        "F1": f1(precision, recall),
        "positive_macro_F1": _sum(positive, "local_f1") / len(positive) if positive else np.full(10, np.nan),
        "positive_micro_F1": positive_f1,
        "positive_micro_precision": positive_precision,
    }


def _sum(outcomes: Sequence[Outcome], name: str) -> Float[np.ndarray, "10"]:
    return sum((getattr(outcome, name) for outcome in outcomes), np.zeros(len(IOU_THRESHOLDS)))


def _mean(curve: Float[np.ndarray, "10"]) -> float:
    """Parity: values of -1 are left out, as if they said that nothing was measured."""
    measured = curve[~(curve <= -1)]
    return float(measured.mean()) if len(measured) else -1.0
