"""Boxes as they are typed: `x1,y1,x2,y2`, with `,neg` for an example of what not to find."""

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
