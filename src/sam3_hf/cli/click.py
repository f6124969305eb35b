"""The command `click`: an image and points or a box on one object in it; a JSON file and an overlay picture out."""

from pathlib import Path
from typing import Annotated

import typer

from sam3_hf.cli.click_job import ClickJob
from sam3_hf.cli.errors import report
from sam3_hf.cli.options import Device, Dtype, Model

_WHERE_ON, _WHERE = "Which object", "Results"


def click(  # noqa: PLR0913, PLR0917 (the arguments of a command are its options)
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Image file.")],
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y[,neg]",
            rich_help_panel=_WHERE_ON,
            help="A pixel of the upright image that belongs to the object; neg: that does not. Repeat for several.",
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            metavar="X1,Y1,X2,Y2",
            rich_help_panel=_WHERE_ON,
            help="A box around this one object. (To find all objects like the one in a box, use `segment --box`.)",
        ),
    ] = None,
    model: Model = "facebook/sam3",
    dtype: Dtype = "auto",
    device: Device = "auto",
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", rich_help_panel=_WHERE, help="Gets NAME.json and NAME.png.")
    ] = Path("sam3_output"),
    overlay: Annotated[bool, typer.Option(rich_help_panel=_WHERE, help="Whether to draw the PNG.")] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", rich_help_panel=_WHERE, help="Replace existing results.")
    ] = False,
) -> None:
    """Segment the one object that points or a box show.

    Gives a JSON file (score, box in pixels, mask in COCO's run-length code) and an overlay picture.
    Exit codes: 0 done; 2 something could not be used; 130 interrupted.
    """
    job = ClickJob(image, point or [], box, model, dtype, device, output, overlay, overwrite)
    try:
        from sam3_hf.cli.clicking import run

        run(job)
    except KeyboardInterrupt:
        report("interrupted", kind="")
        raise typer.Exit(130) from None
