"""Measurements, put together as tables.

settings -> models -> parts | throughput by images and prompts -> tables
"""

from collections.abc import Sequence
from typing import Any

import torch

from sam3_hf.benchmarking.models import Subject, build
from sam3_hf.benchmarking.roofline import Roofline
from sam3_hf.benchmarking.settings import Settings
from sam3_hf.benchmarking.steps import OURS, PLAIN, Steps, compile_model
from sam3_hf.benchmarking.tables import TIMING_COLUMNS, Table, number, timing_cells
from sam3_hf.benchmarking.timing import Timing, alternate
from sam3_hf.benchmarking.work import Load, flops, work_of


def prepare(settings: Settings) -> Subject:
    """Set the threads, build the model, and have it compiled if so wished.

    Raises:
        ValueError: The model cannot be built as asked.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    subject = build(settings)
    if settings.compile:
        compile_model(subject.model, settings.compile)
    return subject


def parts_table(subject: Subject, settings: Settings, names: Sequence[str], prompts: int = 1) -> Table:
    """Each step by itself, on one image; sides take turns."""
    steps = Steps(subject, settings, prompts=prompts)
    rows, details = [], []
    for name in names:
        timings = alternate(steps.sides(name), settings.rounds, subject.model.device, settings.warm_ups)
        for side, timing in timings.items():
            ratio = timing.median / timings[OURS].median
            rows.append((name, side, *timing_cells(timing), "" if side == OURS else f"{ratio:.2f}"))
            details.append({"step": name, "side": side, "prompts": prompts, **timing.to_dict(), "times_ours": ratio})
    title = f"Steps; one image of {subject.side} px, {prompts} prompt(s)"
    if {"preprocess", "postprocess", "postprocess-rle", "end-to-end"} & set(names):
        title += f"; images of {settings.picture[1]} x {settings.picture[0]}, {settings.objects} objects"
    return Table(title, ("step", "side", *TIMING_COLUMNS, "times ours"), rows, details)


def roofline_tables(subject: Subject, settings: Settings, parts: Table) -> list[Table]:
    """How near each part of the table of steps is to what the machine reaches in its matrix products alone."""
    roofline = Roofline(subject.model.device, subject.model.dtype)
    rows, details = [], []
    for entry in parts.details:
        if entry["side"] == PLAIN:  # which computes more
            continue
        # The geometry step has a box beside the text, and so have the parts that follow it.
        boxes = int(entry["step"] in ("geometry", "encoder", "decoder", "masks"))
        prompts = entry["prompts"]
        load = Load(1, texts=prompts, rows=prompts, boxes=boxes, side=subject.side)
        work = work_of(subject.model.config, load).get(entry["step"])
        if work is None:
            continue
        floor, seconds = roofline.floor(work), entry["median_s"]
        rate = flops(work) / seconds / 1e9
        cells = (number(flops(work) / 1e9), number(floor), number(seconds), number(rate), f"{floor / seconds:.2f}")
        rows.append((entry["step"], entry["side"], *cells))
        details.append({"step": entry["step"], "side": entry["side"], "flops": flops(work), "floor_s": floor})
        details[-1] |= {"median_s": seconds, "fraction": floor / seconds}
    columns = ("step", "side", "GFLOP", "floor s", "median s", "GFLOP/s", "fraction reached")
    return [
        Table("Roofline: floor = the step's operations at the rates below", columns, rows, details),
        _rates(roofline),
    ]


def throughput_table(subject: Subject, settings: Settings, batch: Sequence[int], prompts: Sequence[int]) -> Table:
    """`forward` for every number of images and of prompts per image."""
    rows, details = [], []
    for images in batch:
        for count in prompts:
            steps = Steps(subject, settings, images, count)
            timings = alternate(steps.sides("forward"), settings.rounds, subject.model.device, settings.warm_ups)
            for side, timing in timings.items():
                rows.append((str(images), str(count), side, *timing_cells(timing), *_per_second(timing, images, count)))
                details.append({"images": images, "prompts": count, "side": side, **timing.to_dict()})
    columns = ("images", "prompts each", "side", *TIMING_COLUMNS, "images/s", "prompts/s")
    return Table(f"Throughput of the model; images of {subject.side} px", columns, rows, details)


def _per_second(timing: Timing, images: int, prompts: int) -> tuple[str, str]:
    return number(images / timing.median), number(images * prompts / timing.median)


def _rates(roofline: Roofline) -> Table:
    rows, details = [], []
    for rate in roofline.largest():
        shape = ", ".join(f"{name} {value}" for name, value in rate.operation._asdict().items() if name != "times")
        kind = type(rate.operation).__name__.lower()
        rows.append((kind, shape, number(rate.seconds), number(rate.flops_per_second / 1e9)))
        found: dict[str, Any] = {"operation": kind, "shape": shape, "seconds": rate.seconds}
        details.append(found | {"flops_per_second": rate.flops_per_second})
    columns = ("operation", "largest shape", "seconds", "GFLOP/s")
    return Table("Measured rates of this machine", columns, rows, details)
