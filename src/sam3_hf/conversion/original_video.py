"""A checkpoint of the original, opened as the weights of the video model.

checkpoint file -> tensors under original names -> checked, renamed, copied once
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.conversion.configs import read_config
from sam3_hf.conversion.dtypes import as_dtype, common_dtype
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.kinds import SAM3, kind_of
from sam3_hf.conversion.layout import to_our_layout
from sam3_hf.conversion.reading import read_checkpoint


class OriginalVideo(NamedTuple):
    """A video model before it is built: how it is made, its weights in memory, their type."""

    config: Sam3VideoConfig
    weights: dict[str, Tensor]
    dtype: torch.dtype


def read_original_video(
    checkpoint: str | Path,
    config: str | Path | PreTrainedConfig | None = None,
    dtype: str | torch.dtype | None = None,
) -> OriginalVideo:
    """The video model in a checkpoint of SAM 3; arguments as `Sam3VideoModel.from_original`.

    Raises:
        ConversionError: The file cannot be read, does not fit the configuration, or is one of SAM 3.1, whose tracker
            is another.
    """
    tensors = read_checkpoint(Path(checkpoint))
    kind = kind_of(tensors)
    if kind is not SAM3:
        raise ConversionError(f"{checkpoint} is a SAM 3.1 checkpoint; its tracker is not the one of Sam3VideoModel.")
    settings = read_config(config, "all", kind.scale_factors)
    views = to_our_layout(tensors, settings)
    stored = as_dtype(None if dtype == "auto" else dtype) or common_dtype(views)
    # Views of the file become memory here, one by one and in their final type: the only copy there is.
    weights = {name: view.to(stored, copy=True, memory_format=torch.contiguous_format) for name, view in views.items()}
    return OriginalVideo(Sam3VideoConfig(**settings), weights, stored)
