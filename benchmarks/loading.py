"""`from_pretrained` of the released size beside transformers: time and peak memory, each in a fresh process, in turn.

    python benchmarks/loading.py [--folder FOLDER] [--rounds 4] [--dtype float32] [--tiny]

Writes a model of random weights (3.4 GB in float32) to a folder that is removed in the end, or loads the model in
FOLDER. The files were just read or written, so they are in the system's cache. Prints a Markdown table, from which the
first round is left out.
"""

import argparse
import statistics
import time
from pathlib import Path

import children


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


def report(found: children.Runs, options: argparse.Namespace) -> None:
    """A row for each side."""
    print(f"{options.dtype}, the first of {options.rounds} rounds left out\n")
    print("| | median s | all runs | peak memory above the start |\n| --- | --- | --- | --- |")
    for side, runs in found.items():
        seconds = [run["seconds"] for run in runs[1:]]
        peak = max(run["gigabytes"] for run in runs[1:])
        times = ", ".join(f"{value:.2f}" for value in seconds)
        print(f"| {side} | {statistics.median(seconds):.2f} | {times} | {peak:.2f} GB |")


if __name__ == "__main__":
    children.compare(__file__, __doc__ or "", load, report, rounds=4, stored="float32")
