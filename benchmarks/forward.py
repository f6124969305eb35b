"""One image, some texts, at the released size: this package and transformers, in turn, on the same weights and inputs.

    python benchmarks/forward.py [--dtype bfloat16] [--rounds 5] [--texts 1] [--threads N] [--device cpu]

Weights are random; both models share one copy of them. Several texts run as several rows of one forward here, and on
reused vision features, one by one, there. Short for `sam3-hf benchmark --parts forward --against transformers`, which
has more options. Needs the `test` extra.
"""

import argparse
import subprocess
import sys

import torch


def main() -> None:
    """Call the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="bfloat16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=1)
    parser.add_argument("--side", type=int, default=1008)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    options = vars(parser.parse_args())
    options["prompts"], options["image-size"] = options.pop("texts"), options.pop("side")
    given = [f"--{name}={value}" for name, value in options.items()]
    command = ["-m", "sam3_hf", "benchmark", "--parts=forward", "--against=transformers", *given]
    sys.exit(subprocess.run([sys.executable, *command], check=False).returncode)


if __name__ == "__main__":
    main()
