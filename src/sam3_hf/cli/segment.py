"""The command `segment`: images and prompts in; a JSON file and an overlay picture per image out."""

from pathlib import Path
from typing import Annotated

import typer

from sam3_hf.cli.errors import report
from sam3_hf.cli.job import Job
from sam3_hf.cli.options import HOW, Device, Dtype, Model

_WHAT, _WHERE = "What to look for", "Results"


def segment(  # noqa: PLR0913, PLR0917 (the arguments of a command are its options)
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Image files; a folder stands for the images in it.")
    ],
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="PHRASE", rich_help_panel=_WHAT, help="Noun phrase; repeat for several, in one pass."),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X1,Y1,X2,Y2[,neg]",
            rich_help_panel=_WHAT,
            help="Example in pixels of the upright image; neg: find nothing like it. Refines every --text, or, without "
            "one, says what to look for. Repeat for several.",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(rich_help_panel=_WHAT, help="Keep objects with a higher score, 0..1.")
    ] = 0.5,
    mask_threshold: Annotated[
        float, typer.Option(rich_help_panel=_WHAT, help="Pixels with a higher probability belong to an object, 0..1.")
    ] = 0.5,
    model: Model = "facebook/sam3",
    dtype: Dtype = "auto",
    device: Device = "auto",
    fast_decode: Annotated[
        bool,
        typer.Option(
            "--fast-decode",
            rich_help_panel=HOW,
            help="Let the JPEG decoder shrink large files: faster, and the model sees almost the same pixels.",
        ),
    ] = False,
    output: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=_WHERE,
            help="Gets NAME.json and NAME.png for each image NAME, numbered where images share a name.",
        ),
    ] = Path("sam3_output"),
    overlay: Annotated[bool, typer.Option(rich_help_panel=_WHERE, help="Whether to draw the PNG.")] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", rich_help_panel=_WHERE, help="Replace existing results.")
    ] = False,
) -> None:
    """Segment every object that matches a phrase, an example box, or both.

    Each image gives a JSON file (scores, boxes in pixels, masks in COCO's run-length code) and an overlay picture.
    Exit codes: 0 done; 2 something could not be used (other images are still done); 130 interrupted.
    """
    job = Job(
        images=images,
        text=text or [],
        box=box or [],
        limits={"threshold": threshold, "mask_threshold": mask_threshold},
        model=model,
        dtype=dtype,
        device=device,
        fast_decode=fast_decode,
        output=output,
        overlay=overlay,
        overwrite=overwrite,
    )
    try:
        from sam3_hf.cli.segmenting import run

        run(job)
    except KeyboardInterrupt:
        report(f"interrupted; finished results stay in {output}", kind="")
        raise typer.Exit(130) from None
