"""Peak memory of a call.

call -> high-water mark of resident memory (Linux keeps one that can be reset) and of what PyTorch holds on CUDA
"""

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

_PROCESS = Path("/proc/self")


class Peak(NamedTuple):
    """Bytes; `None` where the system does not say.

    Args:
        above_start: Resident memory at its highest during the call, less what was resident before.
        resident: Resident memory of the process at its highest during the call, mapped files included.
        device: What PyTorch had allocated on CUDA at its highest, less what it had before.
    """

    above_start: int | None
    resident: int | None
    device: int | None


def peak_of(call: Callable[[], object], device: torch.device) -> Peak:
    """Call once, and say how high memory rose."""
    on_cuda = device.type == "cuda"
    before, device_before = _start_over(), 0
    if on_cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        device_before = torch.cuda.memory_allocated()
    result = call()
    if on_cuda:
        torch.cuda.synchronize()
    highest = resident("VmHWM") if before is not None else None
    del result
    above = highest - before if highest is not None and before is not None else None
    return Peak(above, highest, torch.cuda.max_memory_allocated() - device_before if on_cuda else None)


def resident(field: str = "VmRSS") -> int | None:
    """Resident memory of this process in bytes, now (`VmRSS`) or at its highest (`VmHWM`); `None` outside Linux."""
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)


def settle() -> None:
    """Collect garbage, and give freed memory back to the system where the C library can."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _start_over() -> int | None:
    """Forget earlier peaks; what is resident now, or `None` if this system cannot forget."""
    settle()
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return None
    return resident()
