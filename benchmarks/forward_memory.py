"""Memory of one full forward of the released size beside transformers: load and run, each in a process of its own.

    python benchmarks/forward_memory.py [--folder FOLDER] [--dtype float32] [--rounds 1] [--tiny]

Writes a model of random weights to a folder that is removed in the end, or takes the one in FOLDER, whose type should
be that of `--dtype`. Every process imports its side, loads the folder and segments one image with one text. Prints a
Markdown table: what is resident after the imports, at the highest point of loading and forward together, and what the
highest point has beyond imports and weights.
"""

import argparse
import statistics
from pathlib import Path

import children


def measure(side: str, folder: Path, dtype: str) -> dict[str, float]:
    """The child process that is measured, in gigabytes."""
    import torch
    import transformers

    if side == "sam3_hf":
        from sam3_hf import Sam3Model
    else:
        from transformers import Sam3Model

    transformers.utils.logging.disable_progress_bar()
    imported = _status("VmRSS")
    model = Sam3Model.from_pretrained(folder, dtype=dtype).eval()
    length, side_px = model.config.text_config.max_position_embeddings, model.config.vision_config.image_size
    texts = torch.full((1, length), model.config.text_config.eos_token_id)
    texts[:, :3] = torch.tensor([model.config.text_config.bos_token_id, 1, 2])
    pixels = torch.rand(1, 3, side_px, side_px, dtype=model.dtype) * 2 - 1
    with torch.inference_mode():
        model(pixel_values=pixels, input_ids=texts, attention_mask=(torch.arange(length) < 4).long()[None])
    weights = sum(weight.nbytes for weight in model.parameters())
    peak = _status("VmHWM")
    sizes = {"imported": imported, "peak": peak, "beyond": peak - imported - weights, "weights": weights}
    return {name: size / 1e9 for name, size in sizes.items()}


def _status(field: str) -> int:
    """As `sam3_hf.benchmarking.memory.resident`, without importing this package on transformers' side."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def report(found: children.Runs, options: argparse.Namespace) -> None:
    """A row for each side, and one for how they compare."""
    print(f"{options.dtype}, weights {found['sam3_hf'][0]['weights']:.2f} GB\n")
    print("| | after the imports | peak of the process | peak beyond imports and weights |\n| --- | --- | --- | --- |")
    medians = {
        side: {name: statistics.median(run[name] for run in runs) for name in ("imported", "peak", "beyond")}
        for side, runs in found.items()
    }
    for side, values in medians.items():
        print(f"| {side} | " + " | ".join(f"{value:.2f} GB" for value in values.values()) + " |")
    ours, theirs = (medians[side] for side in children.SIDES)
    print("| ours / theirs | " + " | ".join(f"{ours[name] / theirs[name]:.2f}" for name in ours) + " |")


if __name__ == "__main__":
    children.compare(__file__, __doc__ or "", measure, report, rounds=1)
