"""Photographs that come with scikit-image, found without importing it."""

from importlib.resources import files

from PIL import Image


def photograph(name: str = "chelsea", size: tuple[int, int] = (96, 64)) -> Image.Image:
    """RGB, scaled to `size` (width, height)."""
    with Image.open(str(files("skimage") / "data" / f"{name}.png")) as image:
        return image.convert("RGB").resize(size)
