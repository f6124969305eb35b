"""The images a user names: files and folders, checked by their headers before anything heavy starts.

paths -> files, each once -> name and size of the upright image
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import ExifTags, Image

from sam3_hf.cli.errors import CommandError

# What a folder is searched for; a file that is named may be anything that Pillow reads.
SUFFIXES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
# What Pillow raises for files that are damaged, of another kind, or suspiciously large.
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
_LYING_ORIENTATIONS = (5, 6, 7, 8)


class ImageFile(NamedTuple):
    """A file and the size (height, width) of the upright image in it."""

    path: Path
    size: tuple[int, int]


def find_images(paths: list[Path]) -> list[ImageFile]:
    """All images named, and those in the folders named, in order, each once.

    Raises:
        CommandError: A path does not exist, is no image, or is a folder without any.
    """
    found: dict[Path, ImageFile] = {}
    problems = []
    for path in paths:
        try:
            found |= {file.path.resolve(): file for file in _files_at(path) if file.path.resolve() not in found}
        except CommandError as error:
            problems += error.lines
    if problems:
        raise CommandError(*problems)
    return list(found.values())


def reason(error: BaseException) -> str:
    """Why a file cannot be read, in a few words."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__


def _files_at(path: Path) -> Iterator[ImageFile]:
    if not path.exists():
        raise CommandError(f"{path} does not exist.")
    if not path.is_dir():
        yield _look_at(path)
        return
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))
    if not files:
        raise CommandError(f"{path} is a folder without images.")
    for file in files:
        yield _look_at(file)


def _look_at(path: Path) -> ImageFile:
    try:
        with Image.open(path) as image:
            return ImageFile(path, image.size if _lies(image) else image.size[::-1])
    except Image.UnidentifiedImageError as error:
        raise CommandError(f"{path} is not an image.") from error
    except UNREADABLE as error:
        raise CommandError(f"{path} cannot be read: {reason(error)}") from error


def _lies(image: Image.Image) -> bool:
    """Whether width and height change places when the image is turned upright."""
    # Pillow decodes a whole PNG in search of EXIF data that is not in its header.
    known = image.format != "PNG" or "exif" in image.info
    return known and image.getexif().get(ExifTags.Base.Orientation) in _LYING_ORIENTATIONS
