"""Options that commands share: which model, and how it runs."""

from typing import Annotated

import typer

HOW = "How"
Model = Annotated[
    str, typer.Option(metavar="FOLDER|HUB_ID", rich_help_panel=HOW, help="A converted checkpoint or a Hub id.")
]
Dtype = Annotated[
    str, typer.Option(rich_help_panel=HOW, help="float32, bfloat16, float16, or auto: as the weights are stored.")
]
Device = Annotated[
    str,
    typer.Option(rich_help_panel=HOW, help="cpu, cuda, cuda:1, mps, ..., or auto: cuda if there is one, else cpu."),
]
