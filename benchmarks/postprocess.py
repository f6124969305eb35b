"""Instance post-processing beside that of transformers: time in one process, peak memory in a process each.

    python benchmarks/postprocess.py [--objects 100] [--height 3000] [--width 4000] [--repeats 3] [--masks blobs|noise]

Prints a Markdown table. At 12 megapixels and 100 objects, transformers' side takes about 15 GB.
"""

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch.nn import functional as F
from transformers.modeling_outputs import ModelOutput

SIDE, QUERIES = 288, 200


def made_up_outputs(objects: int, masks: str) -> ModelOutput:
    """Outputs of one prompt with so many objects, their masks round with wavy outlines, or noise."""
    torch.manual_seed(0)
    scores = torch.full((1, QUERIES), -9.0)
    scores[0, torch.randperm(QUERIES)[:objects]] = 3.0
    logits = torch.randn(QUERIES, SIDE, SIDE)
    if masks == "blobs":
        waves = F.interpolate(torch.randn(QUERIES, 1, 16, 16), (SIDE, SIDE), mode="bicubic")[:, 0]
        centres, radii = torch.rand(QUERIES, 2, 1, 1), 0.05 + 0.2 * torch.rand(QUERIES, 1, 1)
        y, x = torch.meshgrid(torch.linspace(0, 1, SIDE), torch.linspace(0, 1, SIDE), indexing="ij")
        logits = 10 * (1 - ((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2).sqrt() / radii) + waves
    return ModelOutput(
        pred_logits=scores,
        presence_logits=torch.full((1, 1), 9.0),
        pred_boxes=torch.rand(1, QUERIES, 4),
        pred_masks=logits[None],
    )


def processor_of(side: str) -> Any:
    """`sam3_hf`'s image processor, or transformers'."""
    if side == "sam3_hf":
        from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
    else:
        from transformers import Sam3ImageProcessor
    return Sam3ImageProcessor()


def work(side: str, arguments: argparse.Namespace) -> Callable[[], list[dict]]:
    """One call of post-processing."""
    outputs, processor = made_up_outputs(arguments.objects, arguments.masks), processor_of(side)
    sizes = [(arguments.height, arguments.width)]
    return lambda: processor.post_process_instance_segmentation(outputs, 0.5, 0.5, sizes)


def seconds(call: Callable[[], list[dict]]) -> float:
    """Time of one call, its result released again."""
    start = time.perf_counter()
    result = call()
    elapsed = time.perf_counter() - start
    del result
    return elapsed


def peak_gigabytes(side: str, arguments: argparse.Namespace) -> float:
    """Resident memory of a fresh process at its peak, above what it had before the call."""
    options = [f"--{name}={getattr(arguments, name)}" for name in ("objects", "height", "width", "masks")]
    run = subprocess.run(
        [sys.executable, __file__, "--peak-of", side, *options], capture_output=True, text=True, check=True
    )
    return float(run.stdout.split()[-1])


def print_peak(side: str, arguments: argparse.Namespace) -> None:
    """The child process of `peak_gigabytes`."""
    call, process = work(side, arguments), psutil.Process()
    before = process.memory_info().rss
    seen, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = call()
    seen.append(process.memory_info().rss)
    done.set()
    watcher.join()
    print((max(seen) - before) / 1e9)
    del result


def main() -> None:
    """Measure both sides in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--masks", choices=["blobs", "noise"], default="blobs")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        print_peak(arguments.peak_of, arguments)
        return
    sides = ("transformers", "sam3_hf")
    peaks = {side: peak_gigabytes(side, arguments) for side in sides}
    calls = {side: work(side, arguments) for side in sides}
    times = {side: [] for side in sides}
    for _ in range(arguments.repeats):
        for side in sides:
            times[side].append(seconds(calls[side]))
    medians = {side: statistics.median(times[side]) for side in sides}
    print(f"{arguments.objects} objects ({arguments.masks}) at {arguments.width}x{arguments.height}, ", end="")
    print(f"{torch.get_num_threads()} threads\n")
    print("| | median seconds | all runs | peak memory above the start |\n| --- | --- | --- | --- |")
    for side in sides:
        runs = ", ".join(f"{value:.2f}" for value in times[side])
        print(f"| {side} | {medians[side]:.2f} | {runs} | {peaks[side]:.2f} GB |")
    print(f"| ratio | {medians['transformers'] / medians['sam3_hf']:.1f} | | |")


if __name__ == "__main__":
    main()
