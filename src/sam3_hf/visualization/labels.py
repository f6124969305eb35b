"""Labels: a rounded plate with text, near the box it belongs to and clear of the plates before it.

box of the object, size of the plate -> places to try -> first one that is free -> plate and text
"""

from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont
from PIL.ImageFont import ImageFont as BitmapFont

from sam3_hf.visualization.colours import Colour, text_colour_on

Place = tuple[int, int, int, int]
# Plates are drawn larger and scaled down, which makes their corners smooth.
_OVERSAMPLING = 4
_LONGEST = 32
# Text is centred by its digits; what hangs below them or stands above has room in the padding.
_TALL = "0"


class Plate(NamedTuple):
    """A text, set in a font, with its distance from the edges of its plate."""

    text: str
    font: FreeTypeFont | BitmapFont
    padding: int

    @classmethod
    def of(cls, text: str, font_size: int) -> "Plate":
        """A plate for one line; a long text is cut short."""
        line = " ".join(text.split())
        return cls(line, ImageFont.load_default(font_size), max(1, round(font_size * 0.35)))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; the same height for every text in this font."""
        left, _, right, _ = self.font.getbbox(self.text)
        _, top, _, bottom = self.font.getbbox(_TALL)
        return round(right - left) + 2 * self.padding, round(bottom - top) + 2 * self.padding

    def draw(self, picture: Image.Image, place: Place, colour: Colour) -> None:
        """Put plate and text on a picture."""
        width, height = place[2] - place[0], place[3] - place[1]
        picture.paste(colour, place, _rounded(width, height, self.padding))
        left, top = self.font.getbbox(self.text)[0], self.font.getbbox(_TALL)[1]
        corner = place[0] + self.padding - left, place[1] + self.padding - top
        ImageDraw.Draw(picture).text(corner, self.text, fill=text_colour_on(colour), font=self.font)


def shorten(text: str) -> str:
    """A text that fits a label."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"


def free_place(box: Place, size: tuple[int, int], canvas: tuple[int, int], taken: list[Place]) -> Place | None:
    """Where a plate of `size` (width, height) fits next to a box on a canvas (width, height), or nowhere."""
    width, height = size
    left, top, right, bottom = box
    rows = (top - height, top, bottom, bottom - height)
    for x, y in [(x, y) for y in rows for x in (left, right - width)]:
        x, y = min(max(x, 0), max(canvas[0] - width, 0)), min(max(y, 0), max(canvas[1] - height, 0))
        place = (x, y, x + width, y + height)
        if not any(_overlap(place, other) for other in taken):
            return place
    return None


def _overlap(one: Place, other: Place) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _rounded(width: int, height: int, radius: int) -> Image.Image:
    large = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
    corners = (0, 0, large.width - 1, large.height - 1)
    ImageDraw.Draw(large).rounded_rectangle(corners, radius * _OVERSAMPLING, fill=255)
    return large.resize((width, height), Image.Resampling.BOX)
