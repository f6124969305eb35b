"""Memory of one full forward of the released size beside transformers: load and run, each in a process of its own.

    python benchmarks/forward_memory.py [--folder FOLDER] [--dtype float32] [--rounds 1] [--tiny]

Writes a model of random weights to a folder that is removed in the end, or takes the one in FOLDER, whose type should
be that of `--dtype`. Every process imports its side, loads the folder and segments one image with one text. Prints a
Markdown table: what is resident after the imports, at the highest point of loading and forward together, and what the
highest point has beyond the weights of the model.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SIDES = ("sam3_hf", "transformers")


def write(folder: Path, dtype: str, tiny: bool) -> None:
    """The child process that makes the model."""
    from sam3_hf.benchmarking.models import build
    from sam3_hf.benchmarking.settings import Settings

    build(Settings(tiny=tiny, dtype=dtype)).model.save_pretrained(folder)


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
    return {"imported": imported / 1e9, "peak": peak / 1e9, "beyond": (peak - weights) / 1e9, "weights": weights / 1e9}


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _child(*arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Write, measure in turn, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--child", choices=["write", *SIDES], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child == "write":
        write(arguments.folder, arguments.dtype, arguments.tiny)
    elif arguments.child:
        print(json.dumps(measure(arguments.child, arguments.folder, arguments.dtype)))
    else:
        _measure_all(arguments)


def _measure_all(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        shared = ("--folder", str(arguments.folder or scratch), "--dtype", arguments.dtype)
        if arguments.folder is None:
            _child("--child", "write", *shared, *(["--tiny"] if arguments.tiny else []))
        found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for _ in range(arguments.rounds):
            for side in SIDES:
                found[side].append(json.loads(_child("--child", side, *shared).splitlines()[-1]))
    print(f"{arguments.dtype}, weights {found['sam3_hf'][0]['weights']:.2f} GB\n")
    print("| | after the imports | peak of the process | peak beyond the weights |\n| --- | --- | --- | --- |")
    medians = {
        side: {name: statistics.median(run[name] for run in runs) for name in ("imported", "peak", "beyond")}
        for side, runs in found.items()
    }
    for side, values in medians.items():
        print(f"| {side} | " + " | ".join(f"{value:.2f} GB" for value in values.values()) + " |")
    ours, theirs = (medians[side] for side in SIDES)
    print("| ours / theirs | " + " | ".join(f"{ours[name] / theirs[name]:.2f}" for name in ours) + " |")


if __name__ == "__main__":
    main()
