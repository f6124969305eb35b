"""A checkpoint of the original, opened as the weights of an image model.

checkpoint file -> tensors under original names -> checked, renamed, copied once -> weights in memory
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.conversion.configs import read_config
from sam3_hf.conversion.dtypes import as_dtype, common_dtype
from sam3_hf.conversion.kinds import kind_of
from sam3_hf.conversion.layout import to_our_layout
from sam3_hf.conversion.reading import read_checkpoint


class Original(NamedTuple):
    """An image model before it is built: how it is made, its weights in memory, their type."""

    config: Sam3Config
    weights: dict[str, Tensor]
    dtype: torch.dtype


def read_original(
    checkpoint: str | Path,
    config: str | Path | PreTrainedConfig | None = None,
    dtype: str | torch.dtype | None = None,
    allow_missing: Sequence[str] = (),
) -> Original:
    """The image model in a checkpoint of SAM 3 or SAM 3.1; arguments as `Sam3Model.from_original`.

    Raises:
        ConversionError: The file cannot be read, or does not fit the configuration.
    """
    tensors = read_checkpoint(Path(checkpoint))
    settings = read_config(config, "detector", kind_of(tensors).scale_factors)
    views = to_our_layout(tensors, settings, allow_missing)
    stored = as_dtype(None if dtype == "auto" else dtype) or common_dtype(views)
    # Views of the file become memory here, one by one and in their final type: the only copy there is.
    weights = {name: view.to(stored, copy=True, memory_format=torch.contiguous_format) for name, view in views.items()}
    return Original(Sam3Config(**settings), weights, stored)
