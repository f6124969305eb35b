"""Converts a checkpoint of the original SAM 3 into a folder that `from_pretrained` loads.

checkpoint file -> tensors under original names -> checked, renamed -> model.safetensors
configuration   -> config.json, processor and tokenizer files
"""

import json
import logging
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from sam3_hf.conversion.configs import read_config
from sam3_hf.conversion.dtypes import Precision, as_dtype, common_dtype, dtype_name
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.kinds import kind_of
from sam3_hf.conversion.layout import to_our_layout
from sam3_hf.conversion.processors import build_processor
from sam3_hf.conversion.reading import read_checkpoint
from sam3_hf.conversion.writing import WEIGHTS, refuse_overwriting, staging, write_weights

Part = Literal["all", "detector"]

logger = logging.getLogger(__name__)


def convert_checkpoint(
    checkpoint: str | Path,
    output_dir: str | Path,
    *,
    config: str | Path | None = None,
    part: Part = "all",
    dtype: Precision | torch.dtype | None = None,
    tokenizer: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the released Hugging Face layout of an original checkpoint, or nothing at all.

    Args:
        checkpoint: `sam3.pt`, flat or nested under `"model"`, or a safetensors file with the same names. Of SAM 3.1's
            checkpoint, the detector.
        output_dir: Folder to write; made if it does not exist.
        config: JSON of the layout that is written, for a model that is not of the released size.
        part: "all", or "detector" for the image model alone.
        dtype: Floating-point type to store; that of the checkpoint if not given.
        tokenizer: What `build_tokenizer` takes, or "none"; the original's file next to the checkpoint if not given.
        overwrite: Replace files that are already there.

    Returns:
        The folder, `output_dir`.

    Raises:
        ConversionError: Something does not fit; the message says what to pass. Nothing was written.
    """
    if part not in get_args(Part):
        raise ConversionError(f"part must be one of {', '.join(get_args(Part))}, got {part!r}.")
    source, output, precision = Path(checkpoint), Path(output_dir).absolute(), as_dtype(dtype)
    tensors = read_checkpoint(source)
    logger.info("Read %d tensors from %s.", len(tensors), source)
    settings = read_config(config, part, kind_of(tensors).scale_factors)
    converted = to_our_layout(tensors, settings)
    processor = build_processor(settings, tokenizer, source)
    with staging(output) as folder:
        processor.save_pretrained(folder)
        _write_config({**settings, "dtype": dtype_name(precision or common_dtype(converted))}, folder / "config.json")
        if not overwrite:
            refuse_overwriting(folder, output)
        write_weights(converted, folder / WEIGHTS, precision)
    logger.info("Wrote %d tensors to %s.", len(converted), output)
    return output


def _write_config(values: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
