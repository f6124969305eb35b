"""Options that commands share: which model, and how it runs."""

from typing import Annotated

import typer

from sam3_hf.embedded_models import EMBEDDED, embedded


def source_of(name: str | None) -> str | None:
    """The folder of an embedded model, anything else as it is; a folder of the same name is meant by `./shapes`."""
    return str(embedded(name)) if name in EMBEDDED else name


HOW = "How"
SOURCE = "FOLDER|HUB_ID|shapes"
SOURCE_HELP = "A converted checkpoint, a Hub id, or shapes, the small model in the package."
Model = Annotated[str, typer.Option(metavar=SOURCE, rich_help_panel=HOW, help=SOURCE_HELP, callback=source_of)]
Dtype = Annotated[
    str, typer.Option(rich_help_panel=HOW, help="float32, bfloat16, float16, or auto: as the weights are stored.")
]
Device = Annotated[
    str,
    typer.Option(rich_help_panel=HOW, help="cpu, cuda, cuda:1, mps, ..., or auto: cuda if there is one, else cpu."),
]
