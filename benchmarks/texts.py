"""Text features of 80 class names, beside transformers on the same weights and tokens; and kept from before.

    python benchmarks/texts.py [--names 80] [--rounds 3] [--dtype bfloat16] [--device auto] [--tiny]

This is tokenizer (ours on both sides) and text encoder. Without a checkpoint names are spelled letter by letter, so
they are longer here than the released tokenizer makes them. `segment` computes the features once for all images, and
the model takes kept ones as `text_embeds`, so that a second image costs nothing more. Prints a Markdown table, and how
large the features are.
"""

import argparse
from functools import partial
from typing import Any

import torch

from sam3_hf.benchmarking import samples
from sam3_hf.benchmarking.models import build, build_theirs
from sam3_hf.benchmarking.settings import Settings
from sam3_hf.benchmarking.steps import OURS, THEIRS
from sam3_hf.benchmarking.tables import TIMING_COLUMNS, Table, show, timing_cells
from sam3_hf.benchmarking.timing import alternate


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    subject = build(Settings(tiny=arguments.tiny, dtype=arguments.dtype, device=arguments.device))
    model, processor = subject.model, subject.processor
    names = samples.names(arguments.names)

    def cold(side: Any) -> Any:
        return side.get_text_features(**processor(text=names, return_tensors="pt").to(model.device))

    with torch.inference_mode():
        kept = cold(model).pooler_output
        sides = {OURS: partial(cold, model), THEIRS: partial(cold, build_theirs(subject)[0])}
        timings = alternate(sides, arguments.rounds, model.device)
    rows = [(side, *timing_cells(timing)) for side, timing in timings.items()]
    show([Table("Text features", ("", *TIMING_COLUMNS), rows, [])], f"{arguments.names} names, {arguments.dtype}")
    print(f"Kept features: 0 s, {kept.numel() * kept.element_size() / 1e6:.1f} MB.")


if __name__ == "__main__":
    main()
