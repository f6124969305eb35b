"""Where and how something was measured."""

import platform
from pathlib import Path
from typing import Any

import torch
import transformers

from sam3_hf.benchmarking.settings import Settings


def describe(settings: Settings) -> dict[str, Any]:
    """Processor, device, threads, versions, and the settings that change times."""
    on_cuda = settings.device.startswith("cuda")
    return {
        "processor": _processor(),
        "device": torch.cuda.get_device_name(settings.device) if on_cuda else settings.device,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "dtype": settings.dtype,
        "attention": settings.attention,
        "compiled": settings.compile,
    }


def in_words(machine: dict[str, Any]) -> str:
    """One line."""
    words = [f"{machine['device']}, {machine['threads']} thread(s), {machine['processor']}"]
    words += [f"{name} {machine[name]}" for name in ("python", "torch", "transformers")]
    return "; ".join(
        [
            *words,
            machine["dtype"],
            f"attention {machine['attention'] or 'as each has it'}",
            f"compiled ({machine['compiled']})" if machine["compiled"] else "eager mode",
        ]
    )


def _processor() -> str:
    """The name of the CPU, as Linux knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
