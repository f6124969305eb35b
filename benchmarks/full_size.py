"""The whole road at the released size, once: checkpoint -> conversion -> loading -> a photograph at 1008 px -> masks.

    python benchmarks/full_size.py FOLDER [--threads N]

Writes a random checkpoint of 860M parameters under the original's names (3.4 GB), converts it, loads it, segments a
photograph with a text and with a text and two boxes on the CPU in float32, and compares every output with a reference
put together from transformers' parts on the same weights (its whole model leaves out the CLS token of text prompts).
Every step runs in a process of its own, so that each peak of memory is that step's. Needs the `test` extra.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import torch

TEXT, BOXES, LABELS = "helmet", [[[80, 20, 300, 220], [10, 300, 120, 500]]], [[1, 0]]
OUTPUTS = ("pred_logits", "pred_boxes", "pred_masks", "presence_logits", "semantic_seg")


def write_checkpoint(folder: Path) -> dict:
    """Random weights of a realistic scale, under the original's names."""
    from sam3_hf.conversion.configs import read_config
    from sam3_hf.conversion.layout import expected_original

    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, expected in expected_original(read_config(None, "all")).items():
        fan_in = max(expected[0].numel(), 1) if expected.dim() > 1 else 2500
        values = torch.randn(expected.shape, generator=generator) * fan_in**-0.5
        is_scale = expected.dim() == 1 and name.endswith("weight")
        weights[name] = values + 1 if is_scale else values
    torch.save({"model": weights}, folder / "sam3.pt")
    return {"tensors": len(weights), "gigabytes": round((folder / "sam3.pt").stat().st_size / 1e9, 2)}


def convert(folder: Path) -> dict:
    """The command of the README, called from Python."""
    from sam3_hf.conversion.convert import convert_checkpoint

    package = Path(find_spec("open_clip").origin).parent  # found, not imported
    vocabulary = package / "bpe_simple_vocab_16e6.txt.gz"
    convert_checkpoint(folder / "sam3.pt", folder / "model", tokenizer=vocabulary, overwrite=True)
    return {}


def _inputs(folder: Path) -> tuple[dict, dict]:
    from PIL import Image
    from skimage import data

    from sam3_hf import Sam3Processor

    processor = Sam3Processor.from_pretrained(folder / "model")
    image = Image.fromarray(data.astronaut())
    text = processor(images=image, text=TEXT, return_tensors="pt")
    return text, processor(images=image, text=TEXT, input_boxes=BOXES, input_boxes_labels=LABELS, return_tensors="pt")


def segment(folder: Path) -> dict:
    """Our model: load, one prompt of text, one of text and boxes, results at the size of the photograph."""
    from sam3_hf import Sam3Model, Sam3Processor

    start = time.perf_counter()
    model = Sam3Model.from_pretrained(folder / "model")
    figures = {"load_seconds": round(time.perf_counter() - start, 1)}
    processor = Sam3Processor.from_pretrained(folder / "model")
    for name, inputs in zip(("text", "text_and_boxes"), _inputs(folder), strict=True):
        start = time.perf_counter()
        with torch.inference_mode():
            outputs = model(**inputs)
        figures[f"{name}_seconds"] = round(time.perf_counter() - start, 1)
        scores = (outputs.pred_logits.sigmoid() * outputs.presence_logits.sigmoid()).flatten()
        threshold = scores.quantile(0.9).item()
        sizes = inputs["original_sizes"]
        found = processor.post_process_instance_segmentation(outputs, threshold, target_sizes=sizes)[0]
        figures[f"{name}_objects"] = len(found["scores"])
        figures[f"{name}_mask_pixels"] = int(found["masks"].sum())
        torch.save({key: outputs[key] for key in OUTPUTS}, folder / f"ours_{name}.pt")
    return figures


def compare(folder: Path) -> dict:
    """transformers' parts in the order of the original, and how far our outputs are from theirs."""
    from transformers.models.sam3.configuration_sam3 import Sam3Config
    from transformers.models.sam3.modeling_sam3 import Sam3Model, box_cxcywh_to_xyxy, inverse_sigmoid

    nested = json.loads((folder / "model" / "config.json").read_text())["detector_config"]
    model = Sam3Model.from_pretrained(folder / "model", config=Sam3Config(**nested))
    figures = {}
    for name, inputs in zip(("text", "text_and_boxes"), _inputs(folder), strict=True):
        with torch.inference_mode():
            vision = model.vision_encoder(inputs["pixel_values"])
            levels, positions = vision.fpn_hidden_states[:3], vision.fpn_position_encoding[:3]
            text = model.get_text_features(inputs["input_ids"], inputs["attention_mask"]).pooler_output
            boxes = inputs.get("input_boxes", torch.zeros(1, 0, 4))
            labels = inputs.get("input_boxes_labels", torch.zeros(1, 0, dtype=torch.long))
            geometry = model.geometry_encoder(boxes, labels != -10, labels.clamp(min=0), levels, positions)
            prompt = torch.cat([text, geometry.last_hidden_state], 1)
            valid = torch.cat([inputs["attention_mask"].bool(), geometry.attention_mask.bool()], 1)
            memory = model.detr_encoder([levels[-1]], prompt, [positions[-1]], valid)
            decoded = model.detr_decoder(
                memory.last_hidden_state, prompt, memory.pos_embeds_flattened, valid, memory.spatial_shapes
            )
            queries = decoded.intermediate_hidden_states
            delta = model.detr_decoder.box_head(queries[-1])
            masks = model.mask_decoder(queries[-1], list(levels), memory.last_hidden_state, prompt, valid)
            reference = {
                "pred_logits": model.dot_product_scoring(queries, prompt, valid)[-1].squeeze(-1),
                "pred_boxes": box_cxcywh_to_xyxy((inverse_sigmoid(decoded.reference_boxes[-1]) + delta).sigmoid()),
                "pred_masks": masks.pred_masks,
                "presence_logits": decoded.presence_logits[-1],
                "semantic_seg": masks.semantic_seg,
            }
        ours = torch.load(folder / f"ours_{name}.pt")
        for key in OUTPUTS:
            error = (ours[key] - reference[key]).abs().max().item()
            figures[f"{name}_{key}"] = {"error": error, "largest": reference[key].abs().max().item()}
    return figures


STEPS = (write_checkpoint, convert, segment, compare)


def main() -> None:
    """Run each step in a process of its own and print what it measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--step", choices=[step.__name__ for step in STEPS], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not arguments.step:
        for step in STEPS:
            options = ["--step", step.__name__, "--threads", str(arguments.threads)]
            subprocess.run([sys.executable, __file__, str(arguments.folder), *options], check=True)
        return
    torch.set_num_threads(arguments.threads)
    start = time.perf_counter()
    figures = next(step for step in STEPS if step.__name__ == arguments.step)(arguments.folder)
    figures |= {"seconds": round(time.perf_counter() - start, 1)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"step": arguments.step, **figures, "peak_gib": round(peak, 2)}), flush=True)


if __name__ == "__main__":
    main()
