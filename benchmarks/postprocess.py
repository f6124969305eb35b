"""Instance post-processing beside that of transformers: time in one process, peak memory in a process each.

    python benchmarks/postprocess.py [--objects 100] [--height 3000] [--width 4000] [--repeats 3] [--masks blobs|noise]

Prints a Markdown table: dense masks on both sides, and run-length codes. At 12 megapixels and 100 objects, the side of
transformers takes about 15 GB. Needs the `test` extra.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from sam3_hf.benchmarking import samples
from sam3_hf.benchmarking.memory import peak_of
from sam3_hf.benchmarking.timing import seconds_of

CPU = torch.device("cpu")
OURS, THEIRS, CODES = "sam3_hf", "transformers", "sam3_hf, run-length codes"


def work(side: str, arguments: argparse.Namespace) -> Callable[[], Any]:
    """One call of post-processing."""
    import transformers

    from sam3_hf.image_processing_sam3 import Sam3ImageProcessor

    outputs, size = samples.outputs(arguments.objects), (arguments.height, arguments.width)
    if arguments.masks == "noise":
        outputs["pred_masks"] = torch.randn_like(outputs["pred_masks"])
    processor = transformers.Sam3ImageProcessor() if side == THEIRS else Sam3ImageProcessor()
    options = {"masks": "rle"} if side == CODES else {}
    return lambda: processor.post_process_instance_segmentation(outputs, 0.5, 0.5, [size], **options)


def peak_gigabytes(side: str, arguments: argparse.Namespace) -> float:
    """Resident memory of a fresh process at its peak, above what it had before the call."""
    options = [f"--{name}={getattr(arguments, name)}" for name in ("objects", "height", "width", "masks")]
    run = subprocess.run(
        [sys.executable, __file__, "--peak-of", side, *options], capture_output=True, text=True, check=True
    )
    return float(run.stdout.split()[-1])


def main() -> None:
    """Measure all sides in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--masks", choices=["blobs", "noise"], default="blobs")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        print((peak_of(work(arguments.peak_of, arguments), CPU).above_start or float("nan")) / 1e9)
        return
    sides = (OURS, THEIRS, CODES)
    peaks = {side: peak_gigabytes(side, arguments) for side in sides}
    calls = {side: work(side, arguments) for side in sides}
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(arguments.repeats):
        for side in sides:
            times[side].append(seconds_of(calls[side], CPU))
    print(f"{arguments.objects} objects ({arguments.masks}) at {arguments.width}x{arguments.height}, ", end="")
    print(f"{torch.get_num_threads()} threads\n")
    print("| | median s | all runs | peak memory above the start | times ours |\n| --- | --- | --- | --- | --- |")
    medians = {side: statistics.median(times[side]) for side in sides}
    for side in sides:
        runs = ", ".join(f"{value:.2f}" for value in times[side])
        ratio = medians[side] / medians[OURS]
        print(f"| {side} | {medians[side]:.2f} | {runs} | {peaks[side]:.2f} GB | {ratio:.1f} |")


if __name__ == "__main__":
    main()
