"""Whether a model was loaded as a whole: every tensor there, of its shape, and finite.

loaded model, what `from_pretrained` reported -> nothing, or an error with the tensors and the likely cause
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from math import inf
from typing import Any

import torch
from accelerate.utils import align_module_device
from torch import Tensor, nn

logger = logging.getLogger(__name__)

_NAMES_SHOWN = 5
_NECK = "vision_encoder.neck.fpn_layers."
# Beginnings of names that tell where weights come from, and what to do about them.
_ORIGINS = {
    ("detector.", "tracker.", "backbone."): "These are names of the original: load its file with from_original.",
    ("module.", "_orig_mod.", "base_model.model."): (
        "These are names of a wrapped model (DistributedDataParallel, torch.compile, PEFT): save the model inside it."
    ),
}


def check_names(name: str, source: Any, info: dict[str, Any], optional: Collection[str] = ()) -> None:
    """Refuse a model that any tensor is missing from, or that a tensor was left over for.

    Args:
        name: Class of the model.
        source: Where it was loaded from.
        info: What `from_pretrained` gives on `output_loading_info`.
        optional: Names of tensors that may be missing.

    Raises:
        ValueError: The tensors and the likely cause.
    """
    problems = {
        "missing from the checkpoint": sorted(set(info["missing_keys"]) - set(optional)),
        "unknown to the model": sorted(info["unexpected_keys"]),
        "of another shape": sorted(_mismatch(*entry) for entry in info["mismatched_keys"]),
    }
    if any(problems.values()):
        lines = [f"  {len(names)} {problem}: {_listed(names)}" for problem, names in problems.items() if names]
        refusal = f"{source} does not hold the weights of {name}; nothing was loaded."
        raise ValueError("\n".join([refusal, *lines, _cause(*problems.values())]))


def check_finite(model: nn.Module, source: Any, largest: float = inf) -> None:
    """Refuse weights that are not numbers.

    Args:
        model: The loaded model.
        source: Where it was loaded from.
        largest: The largest magnitude in the files that all its weights are from. Where their types can hold it, no
            tensor is looked at.

    Raises:
        ValueError: The tensors that hold NaN or infinity.
    """
    if largest <= _holds(model):
        return
    broken = [name for name, tensor in _tensors(model) if not _is_finite(tensor)]
    if broken:
        raise ValueError(
            f"{source} holds NaN or infinity in {len(broken)} tensors: {_listed(broken)}. The file is damaged, the "
            "training that wrote it diverged, or values were too large for its type."
        )


def missing_parts(model: nn.Module, source: Any, missing: Collection[str], allowed: Sequence[str]) -> set[str]:
    """The missing tensors of the parts that are allowed to be missing; says which parts these are.

    Raises:
        ValueError: The model has no such part, or some of its tensors are there.
    """
    granted: set[str] = set()
    for part in allowed:
        names = {name for name in model.state_dict() if name.startswith(f"{part}.")}
        absent = names & set(missing)
        if not names:
            parts = ", ".join(name for name, _ in model.named_children())
            raise ValueError(f"allow_missing names {part!r}; the model has the parts {parts}.")
        if absent and absent != names:
            raise ValueError(
                f"{source} holds only {len(names - absent)} of {len(names)} tensors of {part}, so it is not missing "
                f"but incomplete: {_listed(sorted(absent))} are not there. Check that the download is complete."
            )
        if absent:
            logger.warning(
                "%s holds no %s: its %d tensors have random initial values. Train it before you use what it gives.",
                source,
                part,
                len(absent),
            )
        granted |= absent
    return granted


def _mismatch(name: str, found: Sequence[int], wanted: Sequence[int]) -> str:
    return f"{name} {list(found)} instead of {list(wanted)}"


def _cause(missing: list[str], unknown: list[str], mismatched: list[str]) -> str:
    """The likely cause, judged by the names."""
    for beginnings, cause in _ORIGINS.items():
        if any(name.startswith(beginnings) for name in unknown):
            return cause
    if all(name.startswith(_NECK) for name in missing + unknown) and not mismatched:
        return (
            "The neck makes another number of levels than vision_config.scale_factors has: [4.0, 2.0, 1.0, 0.5] is "
            "SAM 3, [4.0, 2.0, 1.0] is SAM 3.1."
        )
    parts = {name.split(".")[0] for name in missing}
    if len(parts) == 1 and not unknown and not mismatched:
        return (
            "Check that the download is complete. If these weights were saved without that part on purpose, pass "
            f"allow_missing={parts.pop()!r}."
        )
    return "Check that the configuration belongs to these weights and that the download is complete."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every tensor with its name; what was moved to disk comes back for the moment that it is looked at."""
    for prefix, module in model.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        if any(tensor.is_meta for _, tensor in own):
            with align_module_device(module):
                yield from _named(prefix, module)
        else:
            yield from _named(prefix, module)


def _named(prefix: str, module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
        yield f"{prefix}.{name}".lstrip("."), tensor


def _holds(model: nn.Module) -> float:
    """The largest magnitude that every type of the model's numbers can hold."""
    dtypes = {tensor.dtype for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()}
    return min((torch.finfo(dtype).max for dtype in dtypes), default=0.0)


def _is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite, by the smallest and the largest: one pass, and no mask of the tensor's size."""
    if not tensor.is_floating_point() or tensor.itemsize == 1 or not tensor.numel() or tensor.is_meta:
        return True
    return bool(torch.isfinite(torch.stack(torch.aminmax(tensor.detach()))).all())
