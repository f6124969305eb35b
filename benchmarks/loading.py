"""`from_pretrained` of the released size beside transformers: time and peak memory, each in a fresh process, in turn.

    python benchmarks/loading.py [--folder FOLDER] [--rounds 3] [--dtype float32] [--tiny]

Writes a model of random weights (3.4 GB in float32) to a folder that is removed in the end, or loads the model in
FOLDER. The files were just read or written, so they are in the system's cache. Prints a Markdown table.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIDES = ("sam3_hf", "transformers")


def write(folder: Path, tiny: bool) -> None:
    """The child process that makes the model."""
    from sam3_hf.benchmarking.models import build
    from sam3_hf.benchmarking.settings import Settings

    subject = build(Settings(tiny=tiny))
    subject.model.save_pretrained(folder)


def load(side: str, folder: Path, dtype: str) -> dict[str, float]:
    """The child process that is measured: seconds, and gigabytes above what the process held before."""
    import torch
    import transformers

    import sam3_hf
    from sam3_hf.benchmarking.memory import peak_of

    package = sam3_hf if side == "sam3_hf" else transformers
    model_class = package.Sam3Model  # lazily imported by transformers: before the clock starts
    transformers.utils.logging.disable_progress_bar()
    start = time.perf_counter()
    peak = peak_of(lambda: model_class.from_pretrained(folder, dtype=dtype), torch.device("cpu"))
    return {"seconds": time.perf_counter() - start, "gigabytes": (peak.above_start or float("nan")) / 1e9}


def _child(*arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", __file__, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Write, load in turn, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--child", choices=["write", *SIDES], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child == "write":
        write(arguments.folder, arguments.tiny)
    elif arguments.child:
        print(json.dumps(load(arguments.child, arguments.folder, arguments.dtype)))
    else:
        _measure(arguments)


def _measure(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = str(arguments.folder or scratch)
        if arguments.folder is None:
            _child("--child", "write", "--folder", folder, *(["--tiny"] if arguments.tiny else []))
        found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for _ in range(arguments.rounds + 1):
            for side in SIDES:
                answer = _child("--child", side, "--folder", folder, "--dtype", arguments.dtype)
                found[side].append(json.loads(answer.splitlines()[-1]))
    print(f"{arguments.dtype}, the first of {arguments.rounds + 1} rounds left out\n")
    print("| | median s | all runs | peak memory above the start |\n| --- | --- | --- | --- |")
    for side, runs in found.items():
        seconds = [run["seconds"] for run in runs[1:]]
        peak = max(run["gigabytes"] for run in runs[1:])
        times = ", ".join(f"{value:.2f}" for value in seconds)
        print(f"| {side} | {statistics.median(seconds):.2f} | {times} | {peak:.2f} GB |")


if __name__ == "__main__":
    main()
