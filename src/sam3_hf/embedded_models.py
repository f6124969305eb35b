"""Models inside the package: small ones that this code trained, there without a download.

name -> folder that `from_pretrained` reads
"""

from pathlib import Path

_FOLDER = Path(__file__).parent / "weights"
EMBEDDED = ("shapes",)


def embedded(name: str) -> Path:
    """The folder of a model inside the package, complete with its processor, to be read by `from_pretrained`.

    Args:
        name: "shapes": finds coloured shapes ("red circle", "large striped square", or others like an example box).

    Raises:
        ValueError: There is no such model.
    """
    if name not in EMBEDDED:
        raise ValueError(f"The embedded models are {', '.join(EMBEDDED)}; got {name!r}.")
    return _FOLDER / name
