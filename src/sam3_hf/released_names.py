"""Names of tensors in the released layout, mended where a release of transformers garbled them on saving.

`detector_model.`, `tracker_model.` and `tracker_neck.` are the beginnings of all names in that layout.
"""

import re
from collections.abc import Iterable
from typing import Any

# Applied one after the other. `Sam3VideoModel.save_pretrained` writes `tracker_model.` before every name (5.8) or twice
# before the tracker's (5.10 and later); 5.8 also takes the detector's backbone and neck for those of a tracker alone.
GARBLED = {
    r"^tracker_model\.(detector_model|tracker_model|tracker_neck)\.": r"\1.",
    r"^detector_model\.detector_model\.": "detector_model.",
    r"^detector_model\.tracker_neck\.": "detector_model.vision_encoder.neck.",
}
# What transformers looks for to rename a tracker's tensors. Its older releases do so in the whole of any model that a
# tracker stands in, and so take the other parts for the tracker's.
_RENAMED_THERE = {"detector_model.vision_encoder.backbone.", "tracker_neck.", "tracker_model.(.+)"}


def mended(name: str) -> str:
    """The name in the released layout."""
    for garbled, right in GARBLED.items():
        name = re.sub(garbled, right, name)
    return name


def without_renaming_there(conversions: Iterable[Any]) -> list[Any]:
    """What transformers is about to do to the tensors of a checkpoint, without its own renaming of a tracker's."""
    return [conversion for conversion in conversions if _RENAMED_THERE.isdisjoint(conversion.source_patterns)]
