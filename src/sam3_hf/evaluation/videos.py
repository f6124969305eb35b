"""Video metrics of SA-Co/VEval: video cgF1, pHOTA, and average precision of masklets.

pairs of video and phrase -> overlaps, once -> cgF1 of volumes | HOTA of frames | AP of volumes -> metrics by name
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from sam3_hf.evaluation.concepts import concept_scores
from sam3_hf.evaluation.datapoints import IouType, check_iou_type
from sam3_hf.evaluation.hota import HotaCounts, hota_counts, hota_scores
from sam3_hf.evaluation.images import SCORE_THRESHOLD
from sam3_hf.evaluation.masklet_ap import Sample, masklet_ap
from sam3_hf.evaluation.masklets import Masklet, Overlaps, Pair
from sam3_hf.evaluation.outcomes import Outcome, outcome_of

_RANGES = {"50_95": slice(None), "50": slice(0, 1), "75": slice(5, 6)}
_SPANS = {"50_95": "", "50": "@0.5", "75": "@0.75"}


class _Judged(NamedTuple):
    """One pair and what its metrics are made from; no tracks where nothing is annotated and nothing sure was found."""

    pair: Pair
    sample: Sample
    outcome: Outcome
    tracks: HotaCounts | None


def evaluate_videos(pairs: Sequence[Pair], iou_type: IouType = "segm") -> dict[str, float | int]:
    """Metrics as fractions: `cgF1`, `IL_MCC`, `pmF1`, `pHOTA`, `pDetA`, `pAssA`, and all under the original's names.

    The original's names start with `video_mask_` or `video_bbox_`. AP of classes and phrases is NaN where nothing is
    annotated, and presence at one threshold where pmF1 is 0 there.

    Args:
        pairs: Every phrase in every video; see `read_pairs`.
        iou_type: "segm" compares masks, "bbox" boxes.

    Raises:
        ValueError: Nothing to evaluate.
    """
    judged = _judge(pairs, iou_type)
    concepts = concept_scores([one.outcome for one in judged])
    tracks = hota_scores(HotaCounts.total([one.tracks for one in judged if one.tracks is not None]))
    prefix = f"video_{_kind(iou_type)}"
    named = _average_precisions(judged) | _under_the_original_names(concepts)
    named |= {f"all_phrase_{name}": value for name, value in tracks.items()}
    short = {name: concepts[name] for name in ("cgF1", "IL_MCC", "pmF1")}
    short |= {f"p{name}": value for name, value in tracks.items()}
    return short | {"pairs": len(judged)} | {f"{prefix}_{name}": value for name, value in named.items()}


def evaluate_each_pair(pairs: Sequence[Pair], iou_type: IouType = "segm") -> list[dict[str, float | int]]:
    """The original's numbers for every pair: counts and F1 of masklets, and HOTA where something is there."""
    kind = _kind(iou_type)
    results = []
    for one in _judge(pairs, iou_type):
        values = {} if one.tracks is None else hota_scores(one.tracks)
        for name, part in _RANGES.items():
            values |= {f"{key}_{name}": value for key, value in _mean_counts(one.outcome, part).items()}
        ids = {"video_id": one.pair.video_id, "category_id": one.pair.category_id}
        results.append(ids | {f"{kind}_{name}": value for name, value in values.items()})
    return results


def _kind(iou_type: IouType) -> str:
    return "mask" if iou_type == "segm" else "bbox"


def _judge(pairs: Sequence[Pair], iou_type: IouType) -> list[_Judged]:
    check_iou_type(iou_type)
    if not pairs:
        raise ValueError("There is no phrase in any video to evaluate.")
    return [_judge_one(pair, iou_type) for pair in pairs]


def _judge_one(pair: Pair, iou_type: IouType) -> _Judged:
    overlaps = Overlaps.of(pair, iou_type)
    scores = np.array([masklet.score for masklet in pair.found], np.float64)
    crowd = np.array([masklet.crowd for masklet in pair.annotated], bool)
    volumes = overlaps.of_volumes()
    # Parity: a score of one half counts for cgF1, and does not for HOTA, which knows no groups either.
    outcome = outcome_of(volumes[scores >= SCORE_THRESHOLD][:, ~crowd])
    sure = scores > SCORE_THRESHOLD
    tracks = None
    if sure.any() or pair.annotated:
        present = _present(pair.found, pair.frames)[:, sure], _present(pair.annotated, pair.frames)
        # Parity: there, the IoU of boxes is of single precision.
        ious = overlaps.of_frames().astype(np.float32 if iou_type == "bbox" else np.float64).astype(np.float64)
        tracks = hota_counts(ious[:, sure], *present)
    return _Judged(pair, Sample(volumes, scores, crowd), outcome, tracks)


def _present(masklets: Sequence[Masklet], frames: int) -> Bool[np.ndarray, "T N"]:
    return np.array([masklet.present for masklet in masklets], bool).reshape(-1, frames).T


def _average_precisions(judged: Sequence[_Judged]) -> dict[str, float]:
    classes = defaultdict(list)
    for one in judged:
        classes[one.pair.category_id].append(one.sample)
    phrases = masklet_ap([one.sample for one in judged])
    of_classes = [curve for curve in map(masklet_ap, classes.values()) if curve is not None]
    return {"mAP_50_95": float(np.mean(of_classes)) if of_classes else np.nan} | {
        f"phrase_ap_{name}": np.nan if phrases is None else float(phrases[part].mean())
        for name, part in _RANGES.items()
    }


def _under_the_original_names(concepts: dict[str, float]) -> dict[str, float]:
    values = {}
    for name, at in _SPANS.items():
        cgf1, pmf1 = concepts[f"cgF1{at}"], concepts[f"pmF1{at}"]
        presence = concepts["IL_MCC"] if not at else cgf1 / pmf1 if pmf1 else np.nan
        values |= {f"demo_cgf1_micro_{name}": cgf1, f"demo_ilmcc_{name}": presence}
        values[f"demo_positive_micro_f1_{name}"] = pmf1
    return values


def _mean_counts(outcome: Outcome, part: slice) -> dict[str, float]:
    """Means over some thresholds; F1 is 1 where nothing is annotated and nothing was found."""
    tp, fp, fn = outcome.true_positives, outcome.false_positives, outcome.false_negatives
    total = 2 * tp + fp + fn
    f1 = np.divide(2 * tp, total, out=np.ones_like(total), where=total > 0)
    curves = {"TP": tp, "FP": fp, "FN": fn, "F1": f1}
    return {name: float(curve[part].mean()) for name, curve in curves.items()}
