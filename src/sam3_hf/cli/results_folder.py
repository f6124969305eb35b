"""Where results go: two files per image in one folder, put there whole or not at all.

image paths -> names, no two alike -> <name>.json, <name>.png, unless they exist already
"""

import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from sam3_hf.cli.errors import CommandError


class Targets(NamedTuple):
    """The files that hold the results of one image."""

    json: Path
    overlay: Path


def plan(folder: Path, images: list[Path], overlay: bool, overwrite: bool) -> list[Targets]:
    """The files to write for each image: named like it, numbered where several images share a name.

    Raises:
        CommandError: One exists and may not be overwritten, or is one of the images.
    """
    targets = [Targets(folder / f"{name}.json", folder / f"{name}.png") for name in _names(images)]
    files = [file for target in targets for file in (target if overlay else target[:1])]
    sources = {image.resolve() for image in images}
    hit = next((file for file in files if file.resolve() in sources), None)
    if hit is not None:
        raise CommandError(f"The result {hit} would replace the image itself; pass another --output.")
    existing = [file for file in files if file.exists()]
    if existing and not overwrite:
        others = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise CommandError(f"Results exist already: {existing[0]}{others}; pass --overwrite or another --output.")
    return targets


def prepare(folder: Path) -> None:
    """Make the folder, and make sure that it can be written to.

    Raises:
        CommandError: It cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise CommandError(f"Cannot write to {folder}: {error.strerror or error}") from error


def write_json(values: dict[str, Any], path: Path) -> None:
    """Write JSON that people can read too."""
    with _replacing(path) as partial:
        partial.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG file, packed lightly: photographs hardly shrink with more effort."""
    with _replacing(path) as partial:
        picture.save(partial, format="png", compress_level=3)


def _names(images: list[Path]) -> list[str]:
    """File names without their ending; compared as file systems do that ignore case."""
    names: dict[str, str] = {}
    for image in images:
        name, number = image.stem, 2
        while name.casefold() in names:
            name, number = f"{image.stem}_{number}", number + 1
        names[name.casefold()] = name
    return list(names.values())


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place when the block ends well, and vanishes when not.

    Raises:
        CommandError: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise CommandError(f"Cannot write {path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
