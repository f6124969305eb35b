"""How time and memory grow with one quantity, everything else held.

kind, points -> one row per point: seconds, peak of memory, and both per unit, which must not rise
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from sam3_hf.benchmarking import samples
from sam3_hf.benchmarking.memory import peak_of, resident, settle
from sam3_hf.benchmarking.models import Subject
from sam3_hf.benchmarking.settings import KINDS_OF_GROWTH, Settings
from sam3_hf.benchmarking.steps import OURS, Steps
from sam3_hf.benchmarking.tables import Table, bytes_cell, number
from sam3_hf.benchmarking.timing import Call, Timing, alternate
from sam3_hf.segmentation import segment

POINTS = {
    "prompts": (1, 8, 40, 200),
    "images": (1, 4, 16),
    "size": (252, 504, 1008, 1512),
    "objects": (1, 10, 100, 500),
    "megapixels": (1, 12, 50),
    "calls": (10, 50, 100, 200),
}
_TITLES = {
    "prompts": "Prompts on one image, from picture to masks",
    "images": "Images in one call of the model, one prompt each",
    "size": "Side of the model's input in pixels; per unit: per megapixel of it",
    "objects": "Objects kept by post-processing",
    "megapixels": "Megapixels of the image",
    "calls": "Calls one after the other: what stays in memory",
}


def growth_table(kind: str, subject: Subject, settings: Settings, points: Sequence[int] = ()) -> Table:
    """One kind of growth.

    Raises:
        ValueError: There is no such kind.
    """
    if kind not in KINDS_OF_GROWTH:
        raise ValueError(f"Growth is measured in {', '.join(KINDS_OF_GROWTH)}; got {kind!r}.")
    points = sorted(points or POINTS[kind])
    if kind == "calls":
        return _calls(subject, points)
    make = {
        "prompts": lambda n: {"segment": _segment(subject, settings, n)},
        "images": lambda n: {"forward": Steps(subject, settings, images=n).sides("forward")[OURS]},
        "size": lambda n: {"forward": Steps(subject._replace(side=n), settings).sides("forward")[OURS]},
        "objects": lambda n: _postprocess(subject, settings, n, settings.picture),
        "megapixels": lambda n: _of_megapixels(subject, settings, n),
    }[kind]
    units = {"size": lambda n: n * n / 1e6}.get(kind, float)
    rows, details = [], []
    make(points[0]).popitem()[1]()  # what only a process's first call costs
    for point in points:
        for step, timing in alternate(make(point), settings.rounds, subject.model.device).items():
            rows.append((str(point), step, *_cells(timing, units(point))))
            details.append({"kind": kind, "point": point, "step": step, "units": units(point), **timing.to_dict()})
    columns = (kind, "step", "median s", "s per unit", "peak above start", "peak per unit")
    return Table(_TITLES[kind], columns, rows, details)


def _cells(timing: Timing, units: float) -> tuple[str, ...]:
    peak = timing.peak.above_start if timing.peak.device is None else timing.peak.device
    per_unit = None if peak is None else round(peak / units)
    return number(timing.median), number(timing.median / units), bytes_cell(peak), bytes_cell(per_unit)


def _segment(subject: Subject, settings: Settings, prompts: int) -> Call:
    image, texts = samples.picture(settings.picture), samples.names(prompts)
    return lambda: list(segment(image, texts, model=subject.model, processor=subject.processor))


def _postprocess(subject: Subject, settings: Settings, objects: int, size: tuple[int, int]) -> dict[str, Call]:
    """Dense masks, and run-length codes of the same."""
    outputs, images = samples.outputs(objects), subject.processor.image_processor

    def call(masks: str) -> Call:
        return lambda: images.post_process_instance_segmentation(outputs, 0.5, 0.5, [size], masks=masks)

    return {"dense masks": call("dense"), "run-length codes": call("rle")}


def _of_megapixels(subject: Subject, settings: Settings, megapixels: int) -> dict[str, Call]:
    """An image of 4 by 3, and ten objects in it."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (height, round(megapixels * 1e6 / height))
    image, images = samples.picture(size), subject.processor.image_processor
    calls: dict[str, Call] = {"preprocess": lambda: images(image, return_tensors="pt")}
    return calls | _postprocess(subject, settings, 10, size)


def _calls(subject: Subject, points: Sequence[int]) -> Table:
    """Resident memory after so many calls of `segment`, above what it was after the first three."""
    small = samples.picture((480, 640))
    call = _repeated(lambda: list(segment(small, ["thing"], model=subject.model, processor=subject.processor)))
    call(3)
    start, device = _held(subject.model.device), subject.model.device
    rows: list[tuple[str, ...]] = []
    details: list[dict[str, Any]] = []
    done = 0
    for point in points:
        peak = peak_of(lambda more=point - done: call(more), device)
        done = point
        left = {name: None if now is None else now - start[name] for name, now in _held(device).items()}
        rows.append(
            (str(point), bytes_cell(left["resident"]), bytes_cell(left["device"]), bytes_cell(peak.above_start))
        )
        details.append({"kind": "calls", "point": point, "left_bytes": left, "peak_bytes": peak._asdict()})
    columns = ("calls", "resident above start", "CUDA above start", "peak above start")
    return Table(_TITLES["calls"], columns, rows, details)


def _repeated(call: Callable[[], object]) -> Callable[[int], None]:
    def run(times: int) -> None:
        for _ in range(times):
            call()

    return run


def _held(device: torch.device) -> dict[str, Any]:
    """What is in memory now."""
    settle()
    return {"resident": resident(), "device": torch.cuda.memory_allocated() if device.type == "cuda" else None}
