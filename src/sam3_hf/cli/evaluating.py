"""The work behind `evaluate`.

job -> all that can be checked quickly -> predictions, made first if a model is named -> metrics -> table, JSON
"""

import math
from pathlib import Path
from typing import Any

from sam3_hf.cli.errors import CommandError
from sam3_hf.cli.evaluate_job import EvaluateJob
from sam3_hf.cli.evaluation_table import show_scores
from sam3_hf.cli.predicting import write_predictions
from sam3_hf.cli.results_folder import prepare, write_json
from sam3_hf.evaluation.answering import Categories, Phrases
from sam3_hf.evaluation.coco import check_annotations, check_detections, coco_average_precision
from sam3_hf.evaluation.datapoints import check_iou_type
from sam3_hf.evaluation.images import evaluate_images
from sam3_hf.evaluation.reading import read_json
from sam3_hf.evaluation.run_file import read_run, run_path
from sam3_hf.evaluation.saco import ground_truth_of, predictions_of
from sam3_hf.evaluation.veval import pairs_of
from sam3_hf.evaluation.videos import evaluate_videos

_SACO_KEYS = ("text_input", "is_instance_exhaustive")


def run(job: EvaluateJob) -> None:
    """Do the job.

    Raises:
        CommandError: Something cannot be used; answers of the model that were kept stay.
    """
    try:
        _check(job)
        scores, kind, part = _evaluate(job)
    except (ValueError, ImportError, OSError) as error:
        raise CommandError(*str(error).splitlines()) from error
    show_scores(scores, kind, part)
    if job.output is not None:
        write_json({name: _for_json(value) for name, value in scores.items()}, job.output)


def _check(job: EvaluateJob) -> None:
    check_iou_type(job.iou_type)
    if job.video and (job.model or job.positive_split or job.allow_partial or len(job.ground_truths) > 1):
        raise CommandError("--video scores one prediction file against one file of annotations, with no other option.")
    if job.allow_partial and job.model:
        raise CommandError("--allow-partial is for scoring without --model; with it, the run is finished first.")
    if job.images and not job.model:
        raise CommandError("--images has a meaning only with --model; leave it out, or name a model.")
    if job.output is not None and job.output.exists() and not job.overwrite:
        raise CommandError(f"{job.output} exists already; pass --overwrite or another --output.")
    for path in filter(None, (job.output, job.predictions if job.model else None)):
        if any(_same(path, other) for other in (*job.ground_truths, job.output) if other is not path and other):
            raise CommandError(f"{path} would replace another file of this command; pass another name.")
        prepare(path.parent)


def _evaluate(job: EvaluateJob) -> tuple[dict[str, Any], str, str]:
    """The metrics, their kind, and which part was scored, if not all."""
    paths = [_annotations_at(path) for path in job.ground_truths]
    contents = [read_json(path) for path in paths]
    if job.video:
        names = (str(job.predictions), str(paths[0]))
        return evaluate_videos(pairs_of(read_json(job.predictions), contents[0], *names), job.iou_type), "video", ""  # pyright: ignore[reportArgumentType]
    score = _image_scorer if _is_saco(contents[0]) else _coco_scorer
    return score(job, paths, contents)


def _image_scorer(job: EvaluateJob, paths: list[Path], contents: list[Any]) -> tuple[dict[str, Any], str, str]:
    if job.positive_split:
        raise CommandError("--positive-split is for files of COCO; these are of SA-Co.")
    iou_type: Any = job.iou_type
    truths = [ground_truth_of(content, iou_type, str(path)) for content, path in zip(contents, paths, strict=True)]
    if job.model:
        write_predictions(job, Phrases.of(truths[0], job.images or paths[0].parent), paths[0], "saco")
    content, name, only, part = _predictions(job)
    return evaluate_images(predictions_of(content, iou_type, name), truths, iou_type, only), job.iou_type, part


def _coco_scorer(job: EvaluateJob, paths: list[Path], contents: list[Any]) -> tuple[dict[str, Any], str, str]:
    if len(paths) > 1:
        raise CommandError("Several annotators are for files of SA-Co; COCO's AP takes one file of annotations.")
    iou_type: Any = job.iou_type
    checked = check_annotations(contents[0], iou_type, str(paths[0]))
    if job.model:
        questions = Categories.of(checked, job.images or paths[0].parent, str(paths[0]))
        write_predictions(job, questions, paths[0], "coco")
    content, name, only, part = _predictions(job)
    found = check_detections(content, checked, iou_type, name)
    scores = coco_average_precision(found, checked, iou_type, positive_split=job.positive_split, only=only)
    return scores, "coco", part


def _predictions(job: EvaluateJob) -> tuple[Any, str, set[int] | None, str]:
    """The predictions, their name, and the ids to score where they are not all."""
    state = None if job.predictions.exists() else read_run(run_path(job.predictions))
    if state is None:
        return read_json(job.predictions), str(job.predictions), None, ""
    part = f"{len(state.done)} of {state.header.get('answers')} answers"
    if not job.allow_partial:
        raise CommandError(
            f"{job.predictions} is not there: its run was interrupted after {part}. Finish it with --model, or pass "
            "--allow-partial to score these."
        )
    return state.detections, str(run_path(job.predictions)), set(state.done), part


def _annotations_at(path: Path) -> Path:
    """A file, or the annotations in a folder."""
    if not path.is_dir():
        return path
    files = sorted(path.glob("*.json"))
    named = [file for file in files if file.name == "_annotations.coco.json"] or files
    if len(named) != 1:
        raise CommandError(f"{path} must hold one JSON file with annotations, but holds {len(named)}; name the file.")
    return named[0]


def _is_saco(content: Any) -> bool:
    images = content.get("images") if isinstance(content, dict) else None
    return isinstance(images, list) and any(
        key in image for image in images if isinstance(image, dict) for key in _SACO_KEYS
    )


def _same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


def _for_json(value: float | int) -> float | int | None:
    """JSON has no number for what was not measured."""
    return None if math.isnan(value) else value
