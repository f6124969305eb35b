"""Names of tensors in the released layout, mended where a release of transformers garbled them on saving.

`detector_model.`, `tracker_model.` and `tracker_neck.` are the beginnings of all names in that layout.
"""

import re

# Applied one after the other. `Sam3VideoModel.save_pretrained` writes `tracker_model.` before every name (5.8) or twice
# before the tracker's (5.23); 5.8 also takes the detector's backbone and neck for those of a tracker alone.
GARBLED = {
    r"^tracker_model\.(detector_model|tracker_model|tracker_neck)\.": r"\1.",
    r"^detector_model\.detector_model\.": "detector_model.",
    r"^detector_model\.tracker_neck\.": "detector_model.vision_encoder.neck.",
}


def mended(name: str) -> str:
    """The name in the released layout."""
    for garbled, right in GARBLED.items():
        name = re.sub(garbled, right, name)
    return name
