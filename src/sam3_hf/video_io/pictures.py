"""Pictures as a video: a folder of files, a list, an array; or images that some other code makes one by one.

folder -> files in the order of their numbers --.
list, array, tensor of images -----------------+-> Recording
generator of images -> Stream
"""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from sam3_hf.inputs.images import read_image
from sam3_hf.video_io.sources import Frame, Recording, Stream, VideoError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
# What Pillow raises for files that are damaged, of another kind, or suspiciously large.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
_DIGITS = re.compile(r"(\d+)")


class Pictures(Recording):
    """Images in any form that images are taken in, files among them, one per frame.

    Args:
        items: The images: anything with a length whose items can be read by number.
        frames_per_second: How fast they follow each other.

    Raises:
        VideoError: There are none, or none can be read.
    """

    def __init__(self, items: Any, frames_per_second: Fraction) -> None:
        super().__init__()
        if not len(items):
            raise VideoError("A video needs at least one frame; got none.")
        self.items, self.time_base = items, 1 / frames_per_second
        first = next(self.frames(range(1))).image
        self.size = _size_of(first)

    def __len__(self) -> int:
        return len(self.items)

    def frames(self, places: range | None = None) -> Iterator[Frame]:
        """See `Recording.frames`."""
        for place in range(len(self)) if places is None else places:
            image = self._image(place)
            whole = self._nearest(place) if image is None else image
            yield Frame(place, place * self.time_base, whole, damaged=image is None)

    def _image(self, place: int) -> Any:
        """An image; `None` for a file that cannot be read."""
        item = self.items[place]
        if not isinstance(item, (str, Path)):
            return item
        try:
            return read_image(str(item), None, True)
        except _UNREADABLE:
            return None

    def _nearest(self, damaged: int) -> Any:
        """The image of the nearest frame before a damaged one, or else after it, that can be read."""
        for other in (*range(damaged - 1, -1, -1), *range(damaged + 1, len(self))):
            image = self._image(other)
            if image is not None:
                return image
        raise VideoError(f"None of the {len(self)} pictures can be read; the first is {self.items[0]}.")


def folder_of_pictures(folder: Path, frames_per_second: Fraction) -> Pictures:
    """The pictures of a folder, ordered by the numbers in their names: 2.jpg comes before 10.jpg.

    Raises:
        VideoError: There are none.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not found:
        raise VideoError(f"{folder} is a folder without pictures ({', '.join(SUFFIXES)}).")
    return Pictures(sorted(found, key=lambda path: _by_number(path.name)), frames_per_second)


def arriving(images: Iterable[Any], frames_per_second: Fraction) -> Stream:
    """Images that are made one by one, as a stream."""
    step = 1 / frames_per_second
    return Stream((Frame(number, number * step, image) for number, image in enumerate(images)), step)


def _by_number(name: str) -> list[tuple[int, str]]:
    """Parts of a name, those that are numbers compared as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(name)]


def _size_of(image: Any) -> tuple[int, int]:
    try:
        height, width = read_image(image, None, True).shape[1:]
    except ValueError as error:
        raise VideoError(f"A video is made of images; of the first frame: {error}") from error
    return height, width
