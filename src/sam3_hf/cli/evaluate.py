"""The command `evaluate`: a prediction file, written by a model if one is named, and annotations in; metrics out."""

from pathlib import Path
from typing import Annotated

import typer

from sam3_hf.cli.errors import CommandError, report
from sam3_hf.cli.evaluate_job import EvaluateJob
from sam3_hf.cli.options import SOURCE, source_of

_WHAT, _MODEL, _WHERE = "What to compare", "Predictions by a model", "Results"


def evaluate(  # noqa: PLR0913, PLR0917 (the arguments of a command are its options)
    predictions: Annotated[
        Path,
        typer.Option(
            metavar="JSON", rich_help_panel=_WHAT, help="Prediction file to score; with --model, the one to write."
        ),
    ],
    ground_truth: Annotated[
        list[Path],
        typer.Option(
            metavar="JSON",
            rich_help_panel=_WHAT,
            help="Annotations: SA-Co, or COCO (also a folder with one JSON file). With several annotators, name the "
            "other files behind it, or repeat the option; their order matters where they are equally good.",
        ),
    ],
    others: Annotated[
        list[Path] | None, typer.Argument(metavar="[JSON]...", help="Annotations by further annotators.")
    ] = None,
    iou_type: Annotated[
        str, typer.Option(metavar="segm|bbox", rich_help_panel=_WHAT, help="Whether masks or boxes are compared.")
    ] = "segm",
    video: Annotated[bool, typer.Option("--video", rich_help_panel=_WHAT, help="Masklets of SA-Co/VEval.")] = False,
    positive_split: Annotated[
        bool,
        typer.Option(
            "--positive-split",
            rich_help_panel=_WHAT,
            help="AP+ instead of COCO's AP: answers count only where an object of their category is.",
        ),
    ] = False,
    allow_partial: Annotated[
        bool,
        typer.Option("--allow-partial", rich_help_panel=_WHAT, help="Score what an interrupted run has answered."),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar=SOURCE,
            rich_help_panel=_MODEL,
            callback=source_of,
            help="Make the predictions with this model; after an interruption, the same command goes on.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", rich_help_panel=_MODEL, help="Images; those beside the annotations if not given."
        ),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(rich_help_panel=_MODEL, help="float32, bfloat16, float16, or auto: as the weights are stored."),
    ] = "auto",
    device: Annotated[
        str, typer.Option(rich_help_panel=_MODEL, help="cpu, cuda, ..., or auto: cuda if there is one, else cpu.")
    ] = "auto",
    prompts_at_once: Annotated[
        int,
        typer.Option(min=1, rich_help_panel=_MODEL, help="Phrases of an image in one pass; fewer need less memory."),
    ] = 8,
    output: Annotated[
        Path | None, typer.Option(metavar="JSON", rich_help_panel=_WHERE, help="Gets all metrics, as fractions.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", rich_help_panel=_WHERE, help="Replace existing predictions and results.")
    ] = False,
) -> None:
    """Score predictions against annotations: cgF1, IL_MCC and pmF1, COCO's AP, or video metrics.

    Exit codes: 0 done; 2 something could not be used; 130 interrupted.
    """
    if others and len(ground_truth) > 1:
        raise CommandError("Name further annotations behind --ground-truth or repeat the option, but not both.")
    job = EvaluateJob(
        predictions=predictions,
        ground_truths=[*ground_truth, *(others or [])],
        iou_type=iou_type,
        output=output,
        model=model,
        images=images,
        dtype=dtype,
        device=device,
        prompts_at_once=prompts_at_once,
        video=video,
        positive_split=positive_split,
        allow_partial=allow_partial,
        overwrite=overwrite,
    )
    try:
        from sam3_hf.cli.evaluating import run

        run(job)
    except KeyboardInterrupt:
        kept = "; the same command goes on where it stopped" if model else ""
        report(f"interrupted{kept}", kind="")
        raise typer.Exit(130) from None
