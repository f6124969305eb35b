"""The work behind `click`.

job -> all that can be checked quickly -> model -> mask of the object -> drawn, written
"""

from typing import Any, NamedTuple

import torch
from transformers.utils import logging

from sam3_hf.cli.click_job import ClickJob
from sam3_hf.cli.errors import CommandError
from sam3_hf.cli.images import UNREADABLE, ImageFile, find_images, reason
from sam3_hf.cli.prompts import read_box, read_point
from sam3_hf.cli.results_folder import Targets, plan, prepare, write_json, write_picture
from sam3_hf.inputs.clicks import read_object_prompts
from sam3_hf.inputs.images import read_image
from sam3_hf.loading import LoadedTracker, LoadingError, check_device, check_dtype, check_source, load_tracker
from sam3_hf.ops.masks import boxes_of_masks
from sam3_hf.pipelines.refine import MaskEditor
from sam3_hf.results import ImageSegmentation, Instance, Prompt, PromptResult
from sam3_hf.visualization.overlay import draw_overlay


class Said(NamedTuple):
    """What shows the object, in pixels of the upright image."""

    points: list[tuple[float, float]]
    labels: list[int]
    box: tuple[float, float, float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """As the JSON file holds it."""
        points = [
            {"point": list(at), "positive": bool(mark)} for at, mark in zip(self.points, self.labels, strict=True)
        ]
        return {"points": points, "around": None if self.box is None else list(self.box)}


def run(job: ClickJob) -> None:
    """Do the job.

    Raises:
        CommandError: Something cannot be used; nothing is written.
    """
    said = _read_prompts(job)
    file = _one_image(job)
    _check(job, said, file)
    targets = plan(job.output, [file.path], job.overlay, job.overwrite)[0]
    prepare(job.output)
    _write(job, said, file, targets, _segment(said, file, _load(job)))


def _read_prompts(job: ClickJob) -> Said:
    points = [read_point(text) for text in job.point]
    if not points and job.box is None:
        raise CommandError("No object is shown; pass --point, --box, or both.")
    box = None if job.box is None else read_box(job.box)
    if box is not None and not box[4]:
        raise CommandError("--box shows the object itself and cannot be negative; pass --point x,y,neg.")
    return Said([(x, y) for x, y, _ in points], [int(positive) for _, _, positive in points], box and box[:4])


def _one_image(job: ClickJob) -> ImageFile:
    if job.image.is_dir():
        raise CommandError(f"{job.image} is a folder; points and boxes are about one image.")
    return find_images([job.image])[0]


def _check(job: ClickJob, said: Said, file: ImageFile) -> None:
    try:
        points, labels = ([[said.points]], [[said.labels]]) if said.points else (None, None)
        read_object_prompts(points, labels, said.box and [[said.box]], [file.size], side=1, pad=-10)
        check_dtype(job.dtype)
        check_device(_device(job))
        check_source(job.model, ("configuration", "weights", "image processor"))
    except ValueError as error:
        raise CommandError(str(error)) from error


def _device(job: ClickJob) -> str:
    return "cuda" if job.device == "auto" and torch.cuda.is_available() else job.device.replace("auto", "cpu")


def _load(job: ClickJob) -> LoadedTracker:
    # Loading says what matters in an error, and a command's stderr is for errors.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        return load_tracker(job.model, job.dtype, _device(job))
    except LoadingError as error:
        raise CommandError(str(error)) from error


def _segment(said: Said, file: ImageFile, loaded: LoadedTracker) -> Instance:
    try:
        editor = MaskEditor(loaded.model, loaded.processor, read_image(str(file.path), None, True))
        mask = editor.say(said.points, said.labels, said.box).cpu()
    except UNREADABLE as error:
        raise CommandError(f"{file.path} cannot be read: {reason(error)}") from error
    except torch.OutOfMemoryError as error:
        raise CommandError(f"Out of memory; try --dtype bfloat16 or --device cpu. {error}") from error
    x1, y1, x2, y2 = boxes_of_masks(mask[None])[0].tolist()
    return Instance(editor.score or 0.0, (x1, y1, x2, y2), mask)


def _write(job: ClickJob, said: Said, file: ImageFile, targets: Targets, found: Instance) -> None:
    """The overlay first, so that a JSON file means that the image is done."""
    segmentation = ImageSegmentation(file.size, [PromptResult(Prompt("object"), [found])])
    if job.overlay:
        write_picture(draw_overlay(str(file.path), segmentation), targets.overlay)
    values = segmentation.to_dict()
    asked = {"image": str(file.path), "model": job.model, **said.to_dict(), "size": values["size"]}
    write_json(asked | {"object": values["prompts"][0]["objects"][0]}, targets.json)
