"""Joining: a detector and a tracker that was trained on its ViT become one model, and one checkpoint for both.

Sam3Model + Sam3TrackerVideoModel -> Sam3VideoModel, whose folder all four models load from
"""

import copy
from typing import Any

import torch

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.modeling_sam3_video import Sam3VideoModel

_VISION = "vision_encoder."


def join(detector: Sam3Model, tracker: Sam3TrackerVideoModel, **rules: Any) -> Sam3VideoModel:
    """One model of both; they stay as they are.

    Args:
        detector: The detector.
        tracker: A tracker whose ViT has the same weights.
        rules: Fields of `Sam3VideoConfig`, such as `fill_hole_area`.

    Raises:
        ValueError: The tracker has no ViT, or another one.
    """
    parts = {name.removeprefix(_VISION): part for name, part in tracker.state_dict().items() if _VISION in name}
    trunk = {name: part for name, part in parts.items() if name.startswith("backbone.")}
    shared = {name: part for name, part in detector.vision_encoder.state_dict().items() if name.startswith("backbone.")}
    if trunk.keys() != shared.keys() or not all(torch.equal(part, shared[name]) for name, part in trunk.items()):
        raise ValueError("Detector and tracker must share a ViT: train the tracker with that of this detector, frozen.")
    values = copy.deepcopy({"detector_config": detector.config, "tracker_config": tracker.config})
    for config in values.values():
        config.dtype = detector.dtype  # each part is loaded as the whole is, however the weights are stored
        config._name_or_path = ""  # where it lay on this machine
    model: Any = Sam3VideoModel(Sam3VideoConfig(**values, **rules))
    model.to(detector.dtype)
    model.detector_model.load_state_dict(detector.state_dict())
    model.tracker_neck.load_state_dict(
        {name.removeprefix("neck."): parts[name] for name in parts.keys() - trunk.keys()}
    )
    model.tracker_model.load_state_dict(
        {name: part for name, part in tracker.state_dict().items() if not name.startswith(_VISION)}
    )
    return model
