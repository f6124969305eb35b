"""The work behind `benchmark`.

job -> all that can be checked quickly -> model -> tables, printed one and all -> JSON
"""

import re
from typing import Any, NamedTuple

import torch
from transformers.utils import logging

from sam3_hf.benchmarking.growth import growth_table
from sam3_hf.benchmarking.machine import describe, in_words
from sam3_hf.benchmarking.models import Subject
from sam3_hf.benchmarking.run import parts_table, prepare, roofline_tables, throughput_table
from sam3_hf.benchmarking.settings import KINDS_OF_GROWTH, OTHERS, Settings
from sam3_hf.benchmarking.steps import STEPS
from sam3_hf.benchmarking.tables import Table, show
from sam3_hf.cli.benchmark_job import BenchmarkJob
from sam3_hf.cli.errors import CommandError
from sam3_hf.cli.results_folder import write_json
from sam3_hf.loading import LoadingError, check_device, check_dtype, check_source


class Plan(NamedTuple):
    """What to measure; growth, else throughput, else steps."""

    settings: Settings
    parts: list[str]
    prompts: list[int]
    batch: list[int]
    growth: list[str]
    points: list[int]
    roofline: bool


def run(job: BenchmarkJob) -> None:
    """Do the job.

    Raises:
        CommandError: Something cannot be used; nothing is measured.
    """
    plan = _plan(job)
    if job.json is not None and job.json.exists() and not job.overwrite:
        raise CommandError(f"{job.json} exists; pass --overwrite to replace it.")
    if job.json is not None and not job.json.parent.is_dir():
        raise CommandError(f"{job.json.parent} is no folder.")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        subject = prepare(plan.settings)
        tables = _measure(plan, subject)
    except (ValueError, ImportError) as error:
        raise CommandError(str(error)) from error
    except torch.OutOfMemoryError as error:
        raise CommandError(f"Out of memory; try fewer --prompts, a smaller --batch or bfloat16. {error}") from error
    machine = describe(plan.settings)
    show(tables, in_words(machine))
    if job.json is not None:
        write_json({"machine": machine, "tables": [table.to_dict() for table in tables]}, job.json)


def _plan(job: BenchmarkJob) -> Plan:
    model: dict[str, Any] = {**job.model, "device": _device(job.model["device"])}
    settings = Settings(
        **model,
        picture=_size(job.picture),
        objects=job.objects,
        rounds=job.rounds,
        against=tuple(_names("against", job.against, OTHERS)),
    )
    _check_model(settings)
    plan = Plan(
        settings,
        parts=_names("parts", job.parts, STEPS) or list(STEPS),
        prompts=_numbers("prompts", job.prompts),
        batch=_numbers("batch", job.batch),
        growth=_names("growth", job.growth, KINDS_OF_GROWTH),
        points=_numbers("points", job.points),
        roofline=job.roofline,
    )
    _check_together(plan, job)
    return plan


def _check_model(settings: Settings) -> None:
    if settings.tiny and settings.model is not None:
        raise CommandError("--tiny makes a model of its own; leave out --model.")
    try:
        check_dtype(settings.dtype)
        check_device(settings.device)
        if settings.model is not None:
            check_source(settings.model)
    except LoadingError as error:
        raise CommandError(str(error)) from error
    modes = torch._inductor.list_mode_options()
    if settings.compile and settings.compile not in modes:
        raise CommandError(f"--compile-mode knows {', '.join(modes)}; got {settings.compile!r}.")
    if settings.dtype == "auto":
        raise CommandError("Say which --dtype to measure: float32, bfloat16 or float16.")


def _check_together(plan: Plan, job: BenchmarkJob) -> None:
    """No option may be given that would not be heard."""
    modes = {"--growth": plan.growth, "--batch": plan.batch, "--parts": job.parts}
    given = [name for name, value in modes.items() if value]
    if len(given) > 1:
        raise CommandError(f"{' and '.join(given)} are measured by themselves; pass one of them.")
    if plan.roofline and (plan.growth or plan.batch):
        raise CommandError("--roofline is about steps; leave out --growth and --batch.")
    if plan.points and len(plan.growth) != 1:
        raise CommandError("--points belongs to one kind of --growth.")
    if plan.growth and plan.settings.against:
        raise CommandError("--growth measures sam3_hf alone; leave out --against.")


def _measure(plan: Plan, subject: Subject) -> list[Table]:
    settings = plan.settings
    if plan.growth:
        return [growth_table(kind, subject, settings, plan.points) for kind in plan.growth]
    if plan.batch:
        return [throughput_table(subject, settings, plan.batch, plan.prompts)]
    tables = []
    for prompts in plan.prompts:
        tables.append(parts_table(subject, settings, plan.parts, prompts))
        tables += roofline_tables(subject, settings, tables[-1]) if plan.roofline else []
    return tables


def _device(name: str) -> str:
    return "cuda" if name == "auto" and torch.cuda.is_available() else name.replace("auto", "cpu")


def _size(text: str) -> tuple[int, int]:
    """Height and width."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise CommandError(f"--picture {text!r} is not WIDTHxHEIGHT, such as 4000x3000.")
    return int(found[2]), int(found[1])


def _numbers(option: str, text: str | None) -> list[int]:
    words = (text or "").replace(" ", "").split(",") if text else []
    if not all(word.isdigit() and int(word) > 0 for word in words):
        raise CommandError(f"--{option} {text!r} is not a list of whole numbers above 0, such as 1,8.")
    return [int(word) for word in words]


def _names(option: str, text: str | None, known: tuple[str, ...]) -> list[str]:
    words = text.replace(" ", "").split(",") if text else []
    stray = next((word for word in words if word not in known), None)
    if stray is not None:
        raise CommandError(f"--{option} knows {', '.join(known)}; got {stray!r}.")
    return words
