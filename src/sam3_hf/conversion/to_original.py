"""The way back: a model folder becomes a checkpoint that tools built on the original can read.

folder -> tensors under our names -> checked, renamed -> one `.pt` or `.safetensors` file
"""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from sam3_hf.conversion.checking import check_fit
from sam3_hf.conversion.configs import read_config, read_json
from sam3_hf.conversion.dtypes import Precision, as_dtype
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.layout import expected_ours, to_original_layout, with_prefix
from sam3_hf.conversion.reading import read_folder
from sam3_hf.conversion.writing import staged_file, stored_type, write_weights

Writer = Callable[[dict[str, Tensor], Path, torch.dtype | None], None]

logger = logging.getLogger(__name__)


def convert_to_original(
    folder: str | Path,
    output: str | Path,
    *,
    dtype: Precision | torch.dtype | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the weights of a folder under the original's names, or nothing at all.

    Args:
        folder: What `convert_checkpoint` or `save_pretrained` wrote, of the whole model or of the detector alone.
        output: `.pt`, `.pth` or `.safetensors` file.
        dtype: Floating-point type to store; that of the folder if not given.
        overwrite: Replace the file if it is there.

    Returns:
        The file, `output`.

    Raises:
        ConversionError: Something does not fit; the message says what to pass. Nothing was written.
    """
    source, target, precision = Path(folder), Path(output).absolute(), as_dtype(dtype)
    write = _writer(target)
    if target.exists() and not overwrite:
        raise ConversionError(f"{output} exists already. Pass another name, or overwrite=True.")
    tensors = read_folder(source)
    logger.info("Read %d tensors from %s.", len(tensors), source)
    original = to_original_layout(_checked(tensors, source / "config.json"))
    with staged_file(target) as path:
        write(original, path, precision)
    logger.info("Wrote %d tensors to %s.", len(original), output)
    return target


def _checked(tensors: dict[str, Tensor], config: Path) -> dict[str, Tensor]:
    """The tensors under the names of the released layout, as the configuration implies them."""
    part = "detector" if read_json(config).get("model_type") == "sam3" else "all"
    tensors = with_prefix(tensors) if part == "detector" else tensors
    check_fit(tensors, expected_ours(read_config(config, part)))
    return tensors


def _writer(path: Path) -> Writer:
    writers: dict[str, Writer] = {".pt": _write_torch, ".pth": _write_torch, ".safetensors": write_weights}
    if path.suffix.lower() not in writers:
        raise ConversionError(f"{path} ends in none of {', '.join(writers)}. Pass the file to write, such as sam3.pt.")
    return writers[path.suffix.lower()]


def _write_torch(tensors: dict[str, Tensor], path: Path, dtype: torch.dtype | None) -> None:
    torch.save({name: _alone(tensor, dtype) for name, tensor in tensors.items()}, path)


def _alone(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """The tensor with a memory of its own size: saving a view would save all that it is a view of."""
    tensor = tensor.to(stored_type(tensor, dtype)).contiguous()
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
