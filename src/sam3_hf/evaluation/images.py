"""Image metrics of SA-Co: cgF1, IL_MCC and pmF1, with one annotator or several.

predictions, ground truths -> per datapoint the detections that count -> the best outcome -> metrics
"""

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from sam3_hf.evaluation.concepts import concept_scores
from sam3_hf.evaluation.datapoints import Datapoint, Detections, GroundTruth, IouType, check_iou_type
from sam3_hf.evaluation.outcomes import Outcome, best_of, outcome_of
from sam3_hf.evaluation.overlaps import iou

SCORE_THRESHOLD = 0.5


def evaluate_images(
    predictions: Mapping[int, Detections],
    ground_truths: Sequence[GroundTruth],
    iou_type: IouType = "segm",
    only: Container[int] | None = None,
) -> dict[str, float | int]:
    """Metrics as fractions; see `concept_scores` for their names.

    Args:
        predictions: Detections by the id of their datapoint; an id without any may be left out.
        ground_truths: One per annotator. Their order matters where they are equally good.
        iou_type: "segm" compares masks, "bbox" boxes.
        only: Ids to evaluate, of those that are evaluated; all if not given.

    Raises:
        ValueError: No ground truth, nothing to evaluate, or a datapoint that one annotator does not have.
    """
    outcomes = image_outcomes(predictions, ground_truths, iou_type, only)
    return concept_scores(list(outcomes.values()))


def image_outcomes(
    predictions: Mapping[int, Detections],
    ground_truths: Sequence[GroundTruth],
    iou_type: IouType = "segm",
    only: Container[int] | None = None,
) -> dict[int, Outcome]:
    """The outcome that counts for each evaluated datapoint; see `evaluate_images`."""
    check_iou_type(iou_type)
    ids = [id for id in evaluated_ids(ground_truths) if only is None or id in only]
    if not ids:
        raise ValueError(f"{ground_truths[0].name} holds no datapoint to evaluate.")
    return {id: best_of([_outcome(predictions.get(id), truth, id, iou_type) for truth in ground_truths]) for id in ids}


def evaluated_ids(ground_truths: Sequence[GroundTruth]) -> list[int]:
    """Datapoints that the first annotator calls exhaustive and no other denies to be.

    Raises:
        ValueError: No ground truth, or a datapoint that one annotator does not have.
    """
    if not ground_truths:
        raise ValueError("Pass at least one ground truth.")
    first, *others = ground_truths
    exhaustive = [id for id, datapoint in first.datapoints.items() if datapoint.exhaustive]
    for other in others:
        missing = next((id for id in exhaustive if id not in other.datapoints), None)
        if missing is not None:
            raise ValueError(f"{other.name} lacks the datapoint {missing} of {first.name}.")
    return [id for id in exhaustive if all(other.datapoints[id].exhaustive for other in others)]


def _outcome(detections: Detections | None, truth: GroundTruth, id: int, iou_type: IouType) -> Outcome:
    datapoint = truth.datapoints[id]
    annotated = datapoint.objects.shapes(iou_type)
    found = [] if detections is None else _counted(detections, truth, iou_type)
    if iou_type == "segm":
        _check_sizes(found, datapoint)
    return outcome_of(iou(found, annotated))


def _counted(detections: Detections, truth: GroundTruth, iou_type: IouType) -> Any:
    known = np.isin(detections.categories, list(truth.categories))
    places = np.flatnonzero(known & (detections.scores >= SCORE_THRESHOLD))
    return detections.objects.take(places).shapes(iou_type)


def _check_sizes(masks: Any, datapoint: Datapoint) -> None:
    wrong = next((mask["size"] for mask in masks if tuple(mask["size"]) != datapoint.size), None)
    if wrong is not None:
        raise ValueError(
            f"Datapoint {datapoint.id} has the size {list(datapoint.size)} (height, width), but a detection's mask "
            f"{list(wrong)}."
        )
