"""What other precisions change: outputs of `Sam3Model` beside its own in float32, on the same weights and photograph.

    python benchmarks/precision.py [--precisions bfloat16 bfloat16-sdpa float16 int8] [--threads N] [--tiny]

Weights are random, of the released size: masks and scores mean nothing, but every layer rounds as it does with trained
ones. `bfloat16-sdpa` attends by `scaled_dot_product_attention` instead of tiles; products of `float16` are summed up in
float32 and rounded once, as GPUs do it; `int8` is the ViT in eight bits beside float32. Masks are those of all queries,
where their logits are positive. Prints a Markdown table.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from sam3_hf import Sam3Model
from sam3_hf.benchmarking.half import HalfProducts
from sam3_hf.benchmarking.models import build
from sam3_hf.benchmarking.settings import Settings
from sam3_hf.benchmarking.tables import Table, show
from sam3_hf.quantization import compare, quantize

PHOTO = Path(__file__).parents[1] / "docs" / "images" / "astronaut.jpg"
PRECISIONS = ["bfloat16", "bfloat16-sdpa", "float16", "int8"]
COLUMNS = ("", "logits, largest", "mean", "mask logits, largest", "mean", "mask IoU", "least")


def in_precision(model: Sam3Model, precision: str) -> Sam3Model:
    """A copy of a float32 model."""
    other = copy.deepcopy(model)
    if precision == "int8":
        quantize(other)
        return other
    dtype, _, attention = precision.partition("-")
    other.to(getattr(torch, dtype))
    if attention:
        other.set_attn_implementation(attention)
    return other


def differences(exact: Any, found: Any) -> tuple[str, ...]:
    """Cells of a row."""
    pairs = [(getattr(exact, name), getattr(found, name).float()) for name in ("pred_logits", "pred_masks")]
    strays = [(one - other).abs() for one, other in pairs]
    agreement = compare(exact, found, threshold=0.0)
    numbers = [f"{value:.1e}" for stray in strays for value in (stray.max().item(), stray.mean().item())]
    return (*numbers, f"{agreement.mask_iou:.4f}", f"{agreement.worst_mask_iou:.4f}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    subject = build(Settings(tiny=arguments.tiny, dtype="float32", device="cpu"))
    model: Any = subject.model
    inputs = subject.processor(images=Image.open(PHOTO), text="helmet", return_tensors="pt")
    with torch.inference_mode():
        exact = model(**inputs)
        spread = f"logits spread by {exact.pred_logits.std():.1e}, mask logits by {exact.pred_masks.std():.1e}"
        rows = []
        for precision in arguments.precisions:
            other: Any = in_precision(model, precision)
            given = {name: part.to(other.dtype) if name == "pixel_values" else part for name, part in inputs.items()}
            with HalfProducts():
                rows.append((precision, *differences(exact, other(**given))))
            del other
    show([Table("Differences to float32", COLUMNS, rows, [])], f"one photograph, one text; {spread}")


if __name__ == "__main__":
    main()
