"""One image, one text, at the released size: this package and transformers, in turn, on the same weights and inputs.

    python benchmarks/forward.py [--dtype bfloat16] [--rounds 5] [--texts 1] [--threads N] [--device cpu]

Weights are random; both models share one copy of them. Prints a Markdown table: medians, and the ratio of the medians.
Several texts run as several rows of one forward here, and on reused vision features, one by one, there.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import transformers

from sam3_hf import Sam3Config, Sam3Model


def build(dtype: torch.dtype, device: str) -> tuple[Sam3Model, transformers.PreTrainedModel]:
    """Ours with random weights, and theirs on the same tensors."""
    torch.manual_seed(0)
    with torch.device(device):
        ours = Sam3Model(Sam3Config(dtype=dtype)).to(dtype).eval()
    with torch.device("meta"):
        theirs = transformers.Sam3Model(transformers.Sam3Config()).eval()
    theirs.load_state_dict(ours.state_dict(), assign=True)
    # What is computed rather than stored was made without memory too: the rotary tables of each block.
    for ours_layer, layer in zip(
        ours.vision_encoder.backbone.layers, theirs.vision_encoder.backbone.layers, strict=True
    ):
        config = theirs.config.vision_config.backbone_config
        layer.position_ids = layer.precompute_positions(config, ours_layer.window).to(device)
        frequencies, _ = layer.rotary_emb.compute_axial_rope_parameters(config)
        layer.rotary_emb.inv_freq = frequencies.to(device)
    return ours, theirs


def timed(run: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="bfloat16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=1)
    parser.add_argument("--side", type=int, default=1008)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    ours, theirs = build(getattr(torch, arguments.dtype), arguments.device)
    pixels = torch.rand(1, 3, arguments.side, arguments.side, device=arguments.device) * 2 - 1
    ids = torch.zeros(arguments.texts, 32, dtype=torch.long, device=arguments.device)
    ids[:, :4] = torch.tensor([49406, 2368, 1929, 49407])
    mask = ids.ne(0).long()

    def run_theirs() -> None:
        vision = theirs.get_vision_features(pixels.to(theirs.dtype))
        for row in range(arguments.texts):
            theirs(vision_embeds=vision, input_ids=ids[row : row + 1], attention_mask=mask[row : row + 1])

    ways: dict[str, Callable[[], object]] = {
        "sam3_hf": lambda: ours(pixel_values=pixels, input_ids=ids, attention_mask=mask),
        f"transformers {transformers.__version__}": run_theirs,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        for run in ways.values():
            run()
        for _ in range(arguments.rounds):
            for name, run in ways.items():
                seconds[name].append(timed(run))
    place = f"{arguments.device}, {arguments.threads} threads"
    print(f"{arguments.side} px, {arguments.dtype}, {arguments.texts} text(s), {place}")
    print("\n| | median s | all runs |\n| --- | --- | --- |")
    for name, runs in seconds.items():
        print(f"| {name} | {statistics.median(runs):.2f} | {', '.join(f'{run:.2f}' for run in runs)} |")
    ours_median, theirs_median = (statistics.median(runs) for runs in seconds.values())
    print(f"| ratio | {theirs_median / ours_median:.2f} | |")


if __name__ == "__main__":
    main()
