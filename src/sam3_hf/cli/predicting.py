"""A model's answers to the questions of an annotation file, written so that nothing is lost when it is stopped.

questions -> checks -> model -> image by image -> run file -> prediction file
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers.utils import logging

from sam3_hf.cli.errors import CommandError
from sam3_hf.cli.evaluate_job import EvaluateJob
from sam3_hf.cli.images import UNREADABLE, reason
from sam3_hf.cli.summary import progress
from sam3_hf.evaluation.answering import Categories, Phrases, Task
from sam3_hf.evaluation.run_file import RunFile, run_path
from sam3_hf.inputs.images import read_image
from sam3_hf.loading import Loaded, LoadingError, check_device, check_dtype, check_source, load
from sam3_hf.visualization.overlay import as_picture


def write_predictions(job: EvaluateJob, questions: Phrases | Categories, annotations: Path, kind: str) -> None:
    """Answer every question, from where an earlier run stopped.

    Raises:
        CommandError: Something cannot be used; answers that were kept stay.
        ValueError: The run file belongs to another run.
    """
    path = run_path(job.predictions)
    if job.predictions.exists() and not path.exists() and not job.overwrite:
        raise CommandError(f"{job.predictions} exists already; leave out --model to score it, or pass --overwrite.")
    device = "cuda" if job.device == "auto" and torch.cuda.is_available() else job.device.replace("auto", "cpu")
    _check(job, questions.tasks, device)
    with RunFile(path, _header(job, questions.tasks, annotations, kind)) as run:
        tasks = [task for task in questions.tasks if not run.done.issuperset(task.ids)]
        if tasks:
            _answer(job, questions, _load(job, device), tasks, run)
        run.finish(job.predictions)


def _check(job: EvaluateJob, tasks: list[Task], device: str) -> None:
    check_dtype(job.dtype)
    check_device(device)
    check_source(str(job.model))
    missing = [task.file for task in tasks if not task.file.is_file()]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CommandError(f"The image {missing[0]} does not exist{others}; pass --images.")


def _header(job: EvaluateJob, tasks: list[Task], annotations: Path, kind: str) -> dict[str, Any]:
    """What must be the same for answers to belong together."""
    folder = Path(str(job.model))
    weights = sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.bin")) if folder.is_dir() else []
    return {
        "kind": kind,
        "model": str(folder.resolve()) if folder.is_dir() else job.model,
        "weights": [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in weights],
        "dtype": job.dtype,
        "prompts_at_once": job.prompts_at_once,
        "annotations": hashlib.sha256(annotations.read_bytes()).hexdigest(),
        "answers": sum(len(task.ids) for task in tasks),
    }


def _load(job: EvaluateJob, device: str) -> Loaded:
    # Loading says what matters in an error, and a command's stderr is for errors.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        return load(str(job.model), job.dtype, device)
    except LoadingError as error:
        raise CommandError(str(error)) from error


def _answer(job: EvaluateJob, questions: Phrases | Categories, loaded: Loaded, tasks: list[Task], run: RunFile) -> None:
    try:
        for task in progress(tasks, "Evaluating"):
            # All of an image's questions again, if some have an answer: in other batches they would differ a little.
            for id, detections in _answers(job, questions, loaded, task):
                run.add(id, detections)
    except torch.OutOfMemoryError as error:
        raise CommandError(f"Out of memory; try --dtype bfloat16 or a lower --prompts-at-once. {error}") from error


@torch.inference_mode()
def _answers(
    job: EvaluateJob, questions: Phrases | Categories, loaded: Loaded, task: Task
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    yield from questions.answers(loaded.model, loaded.processor, task, _read(task), job.prompts_at_once)


def _read(task: Task) -> Image.Image:
    """The upright image.

    Raises:
        CommandError: It cannot be read, holds fractions, or has another size than the annotations say.
    """
    try:
        pixels = read_image(str(task.file), None, True)
    except UNREADABLE as error:
        raise CommandError(f"{task.file} cannot be read: {reason(error)}") from error
    if pixels.dtype != torch.uint8:
        raise CommandError(f"{task.file} holds fractions; convert it to 8 or 16 bits first.")
    if tuple(pixels.shape[1:]) != task.size:
        raise CommandError(
            f"{task.file} has the size {list(pixels.shape[1:])} (height, width), but the annotations of {task.ids[0]} "
            f"say {list(task.size)}."
        )
    return as_picture(pixels)
