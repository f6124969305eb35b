"""Boxes and points as they are typed: `x1,y1,x2,y2` and `x,y`, with `,neg` for what does not belong."""

from sam3_hf.cli.errors import CommandError

_SIGNS = {"pos": True, "neg": False}


def read_box(text: str) -> tuple[float, float, float, float, bool]:
    """The corners in pixels, and whether the box is positive.

    Raises:
        CommandError: Not four numbers, or something other than `pos` or `neg` after them.
    """
    parts = [part.strip() for part in text.split(",")]
    sign = parts.pop().lower() if len(parts) == 5 else "pos"
    try:
        x1, y1, x2, y2 = map(float, parts)
        return x1, y1, x2, y2, _SIGNS[sign]
    except (KeyError, ValueError) as error:
        raise CommandError(f"--box {text!r} is not x1,y1,x2,y2 or x1,y1,x2,y2,neg with numbers in pixels.") from error


def read_point(text: str) -> tuple[float, float, bool]:
    """x and y in pixels, and whether the point is on the object.

    Raises:
        CommandError: Not two numbers, or something other than `pos` or `neg` after them.
    """
    parts = [part.strip() for part in text.split(",")]
    sign = parts.pop().lower() if len(parts) == 3 else "pos"
    try:
        x, y = map(float, parts)
        return x, y, _SIGNS[sign]
    except (KeyError, ValueError) as error:
        raise CommandError(f"--point {text!r} is not x,y or x,y,neg with numbers in pixels.") from error
