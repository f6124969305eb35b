"""A checkpoint of the original, opened as the weights of a model.

checkpoint file -> tensors under original names -> checked, renamed, copied once -> weights in memory
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.conversion.configs import read_config
from sam3_hf.conversion.dtypes import as_dtype, common_dtype
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.kinds import SAM3, kind_of
from sam3_hf.conversion.layout import to_our_layout
from sam3_hf.conversion.reading import read_checkpoint


class Original(NamedTuple):
    """A model before it is built: how it is made, its weights in memory, their type."""

    config: PreTrainedConfig
    weights: dict[str, Tensor]
    dtype: torch.dtype


class WholeOriginal(NamedTuple):
    """A checkpoint with detector and tracker: its configuration, and views of the file in the released layout."""

    settings: dict[str, Any]
    views: dict[str, Tensor]


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
    return in_memory(Sam3Config(**settings), to_our_layout(tensors, settings, allow_missing), dtype)


def read_whole(checkpoint: str | Path, config: str | Path | PreTrainedConfig | None, model: str) -> WholeOriginal:
    """Detector and tracker in a checkpoint of SAM 3, for the class called `model`.

    Raises:
        ConversionError: The file cannot be read, does not fit the configuration, or is one of SAM 3.1, whose tracker
            is another.
    """
    tensors = read_checkpoint(Path(checkpoint))
    kind = kind_of(tensors)
    if kind is not SAM3:
        raise ConversionError(f"{checkpoint} is a SAM 3.1 checkpoint; its tracker is not the one of {model}.")
    settings = read_config(config, "all", kind.scale_factors)
    return WholeOriginal(settings, to_our_layout(tensors, settings))


def in_memory(config: PreTrainedConfig, views: Mapping[str, Tensor], dtype: str | torch.dtype | None) -> Original:
    """Views of the file become memory, one by one and in their final type: the only copy there is."""
    stored = as_dtype(None if dtype == "auto" else dtype) or common_dtype(views)
    weights = {name: view.to(stored, copy=True, memory_format=torch.contiguous_format) for name, view in views.items()}
    return Original(config, weights, stored)
