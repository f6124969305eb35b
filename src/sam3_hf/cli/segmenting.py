"""The work behind `segment`.

job -> all that can be checked quickly -> model -> image by image: segmented, drawn, written -> summary
"""

from collections.abc import Iterator
from itertools import tee
from typing import NamedTuple

import torch
from PIL import Image
from transformers.utils import logging

from sam3_hf.cli.errors import CommandError
from sam3_hf.cli.images import UNREADABLE, ImageFile, find_images, reason
from sam3_hf.cli.job import Job
from sam3_hf.cli.prompts import read_box
from sam3_hf.cli.results_folder import Targets, plan, prepare, write_json, write_picture
from sam3_hf.cli.summary import Tally, progress, show
from sam3_hf.inputs.images import read_image
from sam3_hf.inputs.reduced import ReducedImage, read_reduced
from sam3_hf.inputs.sizes import read_size
from sam3_hf.loading import Loaded, LoadingError, check_device, check_dtype, check_source, load
from sam3_hf.results import ExampleBox, ImageSegmentation
from sam3_hf.segmentation import check_boxes_inside, check_probabilities, make_prompts, segment
from sam3_hf.visualization.overlay import as_picture, draw_overlay


class Picture(NamedTuple):
    """An image file, where its results go, and the upright RGB image in it, perhaps with fewer pixels."""

    file: ImageFile
    targets: Targets
    image: Image.Image | ReducedImage

    @property
    def whole(self) -> Image.Image | str:
        """What an overlay can be drawn on."""
        return self.image if isinstance(self.image, Image.Image) else str(self.file.path)


def run(job: Job) -> None:
    """Do the job; images that turn out to be damaged are reported after the others are done.

    Raises:
        CommandError: Something cannot be used; nothing is written unless the fault is in single images.
    """
    boxes = [ExampleBox(*read_box(text)) for text in job.box]
    files = find_images(job.images)
    device = "cuda" if job.device == "auto" and torch.cuda.is_available() else job.device.replace("auto", "cpu")
    _check(job, boxes, device)
    _check_inside(boxes, files)
    targets = plan(job.output, [file.path for file in files], job.overlay, job.overwrite)
    prepare(job.output)
    tally, problems = Tally(), []
    loaded = _load(job, device)
    kept = read_size(loaded.processor.image_processor.size, "size") if job.fast_decode else None
    pictures = _read(progress(list(zip(files, targets, strict=True)), "Segmenting"), problems, kept)
    _segment(job, boxes, loaded, pictures, tally)
    if tally.images:
        show(tally, [f"Results of {tally.images} image(s) are in {job.output}."])
    if problems:
        raise CommandError(*problems)


def _check(job: Job, boxes: list[ExampleBox], device: str) -> None:
    if not job.text and not boxes:
        raise CommandError("Nothing to look for; pass --text, --box, or both.")
    try:
        make_prompts(job.text, boxes)
        check_probabilities(**job.limits)
        check_dtype(job.dtype)
        check_device(device)
        check_source(job.model)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _check_inside(boxes: list[ExampleBox], files: list[ImageFile]) -> None:
    problems = []
    for file in files:
        try:
            check_boxes_inside(boxes, file.size)
        except ValueError as error:
            problems.append(f"{file.path}: {error}")
    if problems:
        raise CommandError(*problems)


def _load(job: Job, device: str) -> Loaded:
    # Loading says what matters in an error, and a command's stderr is for errors.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        return load(job.model, job.dtype, device)
    except LoadingError as error:
        raise CommandError(str(error)) from error


def _read(
    work: Iterator[tuple[ImageFile, Targets]], problems: list[str], kept: tuple[int, int] | None
) -> Iterator[Picture]:
    """The images one after the other, with fewer pixels if a size is `kept` that they need not exceed.

    What is wrong with those that cannot be read is added to `problems`.
    """
    for file, targets in work:
        try:
            reduced = read_reduced(file.path, kept) if kept else None
            pixels = reduced.pixels if reduced else read_image(str(file.path), None, True)
        except UNREADABLE as error:
            problems.append(f"{file.path} cannot be read: {reason(error)}")
            continue
        if pixels.dtype != torch.uint8:
            problems.append(f"{file.path} holds fractions; convert it to 8 or 16 bits first.")
            continue
        yield Picture(file, targets, reduced or as_picture(pixels))


def _segment(job: Job, boxes: list[ExampleBox], loaded: Loaded, pictures: Iterator[Picture], tally: Tally) -> None:
    pictures, ahead = tee(pictures)
    found = segment(
        (picture.image for picture in ahead),
        job.text,
        boxes,
        model=loaded.model,
        processor=loaded.processor,
        masks="rle",
        threshold=job.limits["threshold"],
        mask_threshold=job.limits["mask_threshold"],
    )
    try:
        for picture, segmentation in zip(pictures, found, strict=True):
            _write(job, picture, segmentation)
            tally.add(segmentation)
    except torch.OutOfMemoryError as error:
        raise CommandError(f"Out of memory; try --dtype bfloat16 or --device cpu. {error}") from error


def _write(job: Job, picture: Picture, segmentation: ImageSegmentation) -> None:
    """The overlay first, so that a JSON file means that an image is done."""
    if job.overlay:
        write_picture(draw_overlay(picture.whole, segmentation), picture.targets.overlay)
    asked = {"image": str(picture.file.path), "model": job.model, **job.limits}
    write_json(asked | segmentation.to_dict(), picture.targets.json)
