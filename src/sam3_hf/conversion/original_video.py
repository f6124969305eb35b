"""A checkpoint of the original, opened as the weights of the video model.

checkpoint file -> tensors in the released layout, copied once
"""

from pathlib import Path

import torch
from transformers import PreTrainedConfig

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.conversion.originals import Original, in_memory, read_whole


def read_original_video(
    checkpoint: str | Path,
    config: str | Path | PreTrainedConfig | None = None,
    dtype: str | torch.dtype | None = None,
) -> Original:
    """The video model in a checkpoint of SAM 3; arguments as `Sam3VideoModel.from_original`.

    Raises:
        ConversionError: See `read_whole`.
    """
    settings, views = read_whole(checkpoint, config, "Sam3VideoModel")
    return in_memory(Sam3VideoConfig(**settings), views, dtype)
