"""The command `benchmark`: how long each part of the model takes here, and how much memory it needs."""

from pathlib import Path
from typing import Annotated

import typer

from sam3_hf.cli.benchmark_job import BenchmarkJob
from sam3_hf.cli.errors import report
from sam3_hf.cli.options import SOURCE, source_of

_MODEL, _WHAT, _HOW, _WHERE = "Model", "What to measure", "How", "Results"


def benchmark(  # noqa: PLR0913, PLR0917 (the arguments of a command are its options)
    model: Annotated[
        str | None,
        typer.Option(
            metavar=SOURCE,
            rich_help_panel=_MODEL,
            callback=source_of,
            help="A converted checkpoint, a Hub id or shapes; random weights of the released size if not given.",
        ),
    ] = None,
    tiny: Annotated[bool, typer.Option("--tiny", rich_help_panel=_MODEL, help="Random weights, tiny size.")] = False,
    dtype: Annotated[str, typer.Option(rich_help_panel=_MODEL, help="float32, bfloat16 or float16.")] = "float32",
    device: Annotated[
        str, typer.Option(rich_help_panel=_MODEL, help="cpu, cuda, ..., or auto: cuda if there is one, else cpu.")
    ] = "auto",
    attention: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_MODEL,
            help="Attention backend: sdpa, eager, flash_attention_2, ...; each side's own default if not given.",
        ),
    ] = None,
    compile: Annotated[
        bool,
        typer.Option("--compile", rich_help_panel=_MODEL, help="Compile both sides with torch.compile."),
    ] = False,
    compile_mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            rich_help_panel=_MODEL,
            help="Compile in this mode of torch.compile: reduce-overhead (CUDA graphs), max-autotune, ...",
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(rich_help_panel=_MODEL, help="Side of the model's input in pixels.")
    ] = None,
    parts: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            rich_help_panel=_WHAT,
            help="Steps: preprocess, vision, text, geometry, encoder, decoder, masks, forward (the whole model), "
            "postprocess, postprocess-rle, end-to-end. All, if not given.",
        ),
    ] = None,
    prompts: Annotated[
        str, typer.Option(metavar="N,...", rich_help_panel=_WHAT, help="Prompts per image; a table for each number.")
    ] = "1",
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="N,...",
            rich_help_panel=_WHAT,
            help="Images per call: the throughput of the whole model for each of these and each of --prompts.",
        ),
    ] = None,
    growth: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,...",
            rich_help_panel=_WHAT,
            help="How time and memory grow with prompts, images, size (of the model's input), objects, megapixels (of "
            "the image), or calls.",
        ),
    ] = None,
    points: Annotated[
        str | None, typer.Option(metavar="N,...", rich_help_panel=_WHAT, help="Where to measure --growth.")
    ] = None,
    picture: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", rich_help_panel=_WHAT, help="Size of the image.")
    ] = "4000x3000",
    objects: Annotated[int, typer.Option(min=0, rich_help_panel=_WHAT, help="Objects to post-process.")] = 100,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            rich_help_panel=_HOW,
            help="transformers: its model on the same weights and inputs, in turn with ours; several prompts share one "
            "pass over the image. plain: ours, one call per prompt.",
        ),
    ] = None,
    roofline: Annotated[
        bool,
        typer.Option(
            "--roofline",
            rich_help_panel=_HOW,
            help="How near steps come to this machine's rate in their products alone.",
        ),
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=_HOW, help="CPU threads; PyTorch's choice if not given.")
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=0, rich_help_panel=_HOW, help="Calls to measure after a warm-up; 0: the warm-up itself.")
    ] = 5,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", rich_help_panel=_WHERE)] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", rich_help_panel=_WHERE, help="Replace the JSON file.")
    ] = False,
) -> None:
    """Measure time and memory of each part of the model, with random weights if you have no others.

    Prints tables in Markdown: medians, quartiles, and the peak of memory during the first call.
    Exit codes: 0 done; 2 something could not be used; 130 interrupted.
    """
    job = BenchmarkJob(
        model={"model": model, "tiny": tiny, "dtype": dtype, "device": device, "attention": attention}
        | {"compile": compile_mode or ("default" if compile else None), "image_size": image_size, "threads": threads},
        parts=parts,
        prompts=prompts,
        batch=batch,
        growth=growth,
        points=points,
        picture=picture,
        objects=objects,
        against=against,
        roofline=roofline,
        rounds=rounds,
        json=json,
        overwrite=overwrite,
    )
    try:
        from sam3_hf.cli.benchmarking import run

        run(job)
    except KeyboardInterrupt:
        report("interrupted; nothing was written", kind="")
        raise typer.Exit(130) from None
