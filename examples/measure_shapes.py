"""Measure the embedded model `shapes` on scenes that it was not trained on, in several precisions.

    python examples/measure_shapes.py --model FOLDER --scenes 250

Texts and example boxes are measured apart: "texts" are phrases alone, half of which mean nothing in their picture,
"boxes" ask for all that is like the examples, without a text.
"""

import argparse
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sam3_hf import Sam3Model, Sam3Processor, embedded
from sam3_hf.benchmarking.half import HalfProducts
from sam3_hf.datasets.examples import ImageExample
from sam3_hf.datasets.shapes.dataset import ShapesDataset
from sam3_hf.datasets.shapes.prompts import VISUAL
from sam3_hf.quantization import compare, quantize
from sam3_hf.training.measuring import Measure

SEED = 1000
HALF = ("bfloat16", "float16")
SHOWN = ("segm_cgF1", "segm_IL_MCC", "segm_pmF1", "bbox_cgF1", "bbox_pmF1")


def asked(examples: list[ImageExample], kind: str) -> list[ImageExample]:
    """The pictures with only their texts, or only their example boxes, where they have some."""
    found = []
    for example in examples:
        prompts = tuple(
            prompt
            for prompt in example.prompts
            if (not len(prompt.example_labels) if kind == "texts" else prompt.text == VISUAL)
        )
        if prompts:
            found.append(replace(example, prompts=prompts))
    return found


def in_precision(folder: Path, precision: str) -> Any:
    """The model as it is to be measured."""
    model = Sam3Model.from_pretrained(folder, dtype=precision if precision in HALF else "float32")
    if precision == "int8":
        return quantize(model)
    if precision == "compiled":
        model.compile()
    return model


@torch.inference_mode()
def agreement(exact: Any, other: Any, processor: Sam3Processor, examples: list[ImageExample]) -> tuple[float, float]:
    """Mean and least intersection over union of the masks that both precisions give the objects of the exact one."""
    found = []
    for example in examples:
        texts = [prompt.text for prompt in example.prompts]
        inputs = processor(images=example.image, text=texts, return_tensors="pt")
        outputs = exact(**inputs)
        if (outputs.pred_logits.sigmoid() * outputs.presence_logits.sigmoid() > 0.5).any():
            found.append(compare(outputs, other(**inputs.to(other.dtype))))
    objects = sum(each.objects for each in found)
    mean = sum(each.objects * each.mask_iou for each in found) / objects
    return mean, min(each.worst_mask_iou for each in found)


def figures(measure: Measure, exact: Any, model: Any, examples: list[ImageExample], compared: bool) -> list[str]:
    """Cells of a row; masks are compared with those of the exact model if asked for."""
    found = measure(model, examples)
    cells = [f"{found[name]:.3f}" for name in SHOWN]
    if compared:
        cells.append("{:.4f} ({:.3f})".format(*agreement(exact, model, measure.processor, examples)))
    return cells


def main() -> None:
    """One line per precision and kind of prompt."""
    parser = argparse.ArgumentParser(description="Measure the embedded model `shapes`.")
    parser.add_argument("--model", type=Path, default=None, help="a folder; the embedded model if not given")
    parser.add_argument("--scenes", type=int, default=250)
    parser.add_argument("--prompts", type=int, default=8, help="prompts per scene")
    parser.add_argument(
        "--precisions",
        nargs="+",
        default=["float32"],
        choices=["float32", *HALF, "int8", "compiled"],
    )
    options = parser.parse_args()
    folder = options.model or embedded("shapes")
    processor = Sam3Processor.from_pretrained(folder)
    measure = Measure(processor)
    scenes = ShapesDataset(SEED, options.scenes, options.prompts)
    examples = [scenes[number] for number in range(options.scenes)]
    exact = in_precision(folder, "float32")
    print(
        f"| precision | prompts | {' | '.join(SHOWN)} | mask IoU to float32 (least) |\n|{' --- |' * (3 + len(SHOWN))}"
    )
    for precision in options.precisions:
        model = in_precision(folder, precision)
        # Few CPUs multiply float16; products are those of a GPU.
        with HalfProducts() if precision == "float16" else nullcontext():
            for kind in ("texts", "boxes"):
                found = figures(measure, exact, model, asked(examples, kind), compared=kind == "texts")
                print(f"| {precision} | {kind} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
