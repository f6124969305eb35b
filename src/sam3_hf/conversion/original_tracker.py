"""A checkpoint of the original, opened as the weights of the interactive half.

checkpoint file -> tensors under original names -> checked, renamed, those of the image tracker copied once
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from sam3_hf.configuration_sam3_tracker import Sam3TrackerConfig, image_tracker
from sam3_hf.conversion.configs import read_config
from sam3_hf.conversion.dtypes import as_dtype, common_dtype
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.kinds import SAM3, kind_of
from sam3_hf.conversion.layout import to_our_layout
from sam3_hf.conversion.reading import read_checkpoint

# How names of the released layout begin, and how those of the tracker alone.
_BEGINNINGS = {
    "detector_model.vision_encoder.backbone.": "vision_encoder.backbone.",
    "tracker_neck.": "vision_encoder.neck.",
    "tracker_model.": "",
}


class OriginalTracker(NamedTuple):
    """An image tracker before it is built: how it is made, weights in memory (a video's among them), their type."""

    config: Sam3TrackerConfig
    weights: dict[str, Tensor]
    dtype: torch.dtype


def read_original_tracker(
    checkpoint: str | Path,
    config: str | Path | PreTrainedConfig | None = None,
    dtype: str | torch.dtype | None = None,
    as_config: Callable[[Mapping[str, Any]], Sam3TrackerConfig] = lambda values: Sam3TrackerConfig(
        **image_tracker(values)
    ),
) -> OriginalTracker:
    """The image tracker in a checkpoint of SAM 3; arguments as `Sam3TrackerModel.from_original`.

    `as_config` makes the tracker's configuration of that of the whole model.

    Raises:
        ConversionError: The file cannot be read, does not fit the configuration, or is one of SAM 3.1, whose tracker
            is another.
    """
    tensors = read_checkpoint(Path(checkpoint))
    kind = kind_of(tensors)
    if kind is not SAM3:
        raise ConversionError(f"{checkpoint} is a SAM 3.1 checkpoint; its tracker is not the one of Sam3TrackerModel.")
    settings = read_config(config, "all", kind.scale_factors)
    views = {
        own + name.removeprefix(released): view
        for name, view in to_our_layout(tensors, settings).items()
        for released, own in _BEGINNINGS.items()
        if name.startswith(released)
    }
    stored = as_dtype(None if dtype == "auto" else dtype) or common_dtype(views)
    # Views of the file become memory here, one by one and in their final type: the only copy there is.
    weights = {name: view.to(stored, copy=True, memory_format=torch.contiguous_format) for name, view in views.items()}
    return OriginalTracker(as_config(settings), weights, stored)
