"""The command `convert`: a checkpoint of the original becomes a model folder, or the other way round."""

from pathlib import Path
from typing import Annotated

import typer

from sam3_hf.cli.errors import CommandError, report

_FORTH = "Only from the original"


def convert(  # noqa: PLR0913, PLR0917 (the arguments of a command are its options)
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="sam3.pt, or a safetensors file with the same names; with --to original, a model folder.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(metavar="OUTPUT_DIR", help="Folder to write; with --to original, a .pt or .safetensors file."),
    ],
    to: Annotated[
        str, typer.Option(metavar="huggingface|original", help="Layout to write.", show_default=True)
    ] = "huggingface",
    dtype: Annotated[
        str | None,
        typer.Option(metavar="float32|bfloat16|float16", help="Type to store; that of the source if not given."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are already there.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(metavar="JSON", rich_help_panel=_FORTH, help="Configuration, if not of the released size."),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="all|detector",
            rich_help_panel=_FORTH,
            help="The whole model, or the image model alone (the part of SAM 3.1 that can be written).",
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|HUB_ID|none",
            rich_help_panel=_FORTH,
            help="Vocabulary file, tokenizer folder or Hub id; the file next to the checkpoint if not given.",
        ),
    ] = None,
) -> None:
    """Convert a checkpoint of the original SAM 3 into a folder for from_pretrained, or back.

    Exit codes: 0 done; 2 something does not fit, and nothing was written; 130 interrupted.
    """
    from sam3_hf.conversion.convert import convert_checkpoint
    from sam3_hf.conversion.to_original import convert_to_original

    forth = {"config": config, "part": part, "tokenizer": tokenizer}
    given = {name: value for name, value in forth.items() if value is not None}
    how = {"dtype": dtype, "overwrite": overwrite}
    _check_direction(to, list(given))
    try:
        if to == "original":
            written = convert_to_original(source, output, **how)  # pyright: ignore[reportArgumentType]
        else:
            written = convert_checkpoint(source, output, **how, **given)  # pyright: ignore[reportArgumentType]
    except (ValueError, OSError) as error:
        raise CommandError(*str(error).splitlines()) from error
    except KeyboardInterrupt:
        report("interrupted; nothing was written", kind="")
        raise typer.Exit(130) from None
    typer.echo(f"Wrote {written}.")


def _check_direction(to: str, given: list[str]) -> None:
    if to not in ("huggingface", "original"):
        raise CommandError(f"--to must be huggingface or original, got {to!r}.")
    if to == "original" and given:
        raise CommandError(f"--{given[0]} has no meaning with --to original; leave it out.")
