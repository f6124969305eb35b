"""A checkpoint of the original, opened as the weights of a tracker.

checkpoint file -> tensors in the released layout -> those of the tracker, under its own names, copied once
"""

from pathlib import Path

import torch
from transformers import PreTrainedConfig

from sam3_hf.configuration_sam3_tracker import Sam3TrackerConfig, image_tracker
from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig, video_tracker
from sam3_hf.conversion.originals import Original, in_memory, read_whole

# How names of the released layout begin, and how those of the tracker alone.
_BEGINNINGS = {
    "detector_model.vision_encoder.backbone.": "vision_encoder.backbone.",
    "tracker_neck.": "vision_encoder.neck.",
    "tracker_model.": "",
}


def read_original_tracker(
    checkpoint: str | Path,
    config: str | Path | PreTrainedConfig | None = None,
    dtype: str | torch.dtype | None = None,
    for_videos: bool = False,
) -> Original:
    """The tracker in a checkpoint of SAM 3, a video's weights among the rest; arguments as its `from_original`.

    `for_videos` gives it the configuration of `Sam3TrackerVideoModel`.

    Raises:
        ConversionError: See `read_whole`.
    """
    model = "Sam3TrackerVideoModel" if for_videos else "Sam3TrackerModel"
    settings, released = read_whole(checkpoint, config, model)
    views = {
        own + name.removeprefix(beginning): view
        for name, view in released.items()
        for beginning, own in _BEGINNINGS.items()
        if name.startswith(beginning)
    }
    own_config = (
        Sam3TrackerVideoConfig(**video_tracker(settings))
        if for_videos
        else Sam3TrackerConfig(**image_tracker(settings))
    )
    return in_memory(own_config, views, dtype)
