"""The program `sam3-hf`: its commands, and one way out for all of them.

arguments -> command -> 0, or `error: ...` on stderr and 2; 130 when interrupted
"""

import sys
from typing import Annotated

import typer

from sam3_hf import __version__
from sam3_hf.cli.benchmark import benchmark
from sam3_hf.cli.click import click
from sam3_hf.cli.convert import convert
from sam3_hf.cli.errors import CommandError, report
from sam3_hf.cli.evaluate import evaluate
from sam3_hf.cli.finetune import finetune
from sam3_hf.cli.segment import segment
from sam3_hf.cli.track import track

# What typer raises for wrong usage; newer versions carry their own copy of click, so the class is reached from here.
_WRONG_USAGE: type[Exception] = typer.BadParameter.__mro__[2]  # pyright: ignore[reportAssignmentType]

app = typer.Typer(name="sam3-hf", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
app.command()(segment)
app.command()(click)
app.command()(convert)
app.command()(evaluate)
app.command()(benchmark)
app.command()(finetune)
app.command()(track)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sam3-hf {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """SAM 3: segment everything in images that matches a phrase or an example."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: list[str]) -> int:
    """Run one command line; the exit code."""
    try:
        return typer.main.get_command(app).main(arguments, prog_name=app.info.name, standalone_mode=False) or 0
    except CommandError as error:
        report(*error.lines)
        return 2
    except _WRONG_USAGE as error:
        report(error.format_message())  # pyright: ignore[reportAttributeAccessIssue]
        return 2
    except (KeyboardInterrupt, typer.Abort):
        report("interrupted", kind="")
        return 130


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))
