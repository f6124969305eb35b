"""Every table of docs/benchmarks.md, in Markdown, each under the command that makes it.

    python benchmarks/all_tables.py [--gpu] [--only NAME,...] [--list] [--tiny] [--output FILE] [--threads N]

All of them take about half an hour on two cores with bfloat16 instructions. `--tiny` runs the same with tiny weights,
to see that all works. `--gpu` makes those of a GPU instead, where compiling takes longest. Each table is a process of
its own; one that fails is reported and does not stop the others. Needs the `test` extra.
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

BENCHMARK = "sam3-hf benchmark"
# By name; {model} becomes `--tiny` on demand, and `sam3-hf` this Python's.
TABLES = {
    "one-bf16": f"{BENCHMARK} {{model}} --parts forward --dtype bfloat16 --against transformers --rounds 3",
    "one-fp32": f"{BENCHMARK} {{model}} --parts forward --dtype float32 --against transformers --rounds 2",
    "eight": f"{BENCHMARK} {{model}} --parts forward --prompts 8 --dtype bfloat16 --against transformers,plain "
    "--rounds 1",
    "parts": f"{BENCHMARK} {{model}} --dtype bfloat16 --roofline --rounds 2",
    "floor-fp32": f"{BENCHMARK} {{model}} --parts forward --dtype float32 --roofline --rounds 3",
    "throughput": f"{BENCHMARK} {{model}} --dtype bfloat16 --batch 1,2 --prompts 1,4,16 --rounds 0",
    "precision": "python benchmarks/precision.py {model}",
    "texts": "python benchmarks/texts.py {model}",
    "preprocess": "python benchmarks/preprocess.py",
    "postprocess": "python benchmarks/postprocess.py",
    "loading-fp32": "python benchmarks/loading.py {model}",
    "memory-fp32": "python benchmarks/forward_memory.py {model} --dtype float32",
    "memory-bf16": "python benchmarks/forward_memory.py {model} --dtype bfloat16",
    "growth-prompts": f"{BENCHMARK} {{model}} --dtype bfloat16 --growth prompts --rounds 0",
    "growth-images": f"{BENCHMARK} {{model}} --dtype bfloat16 --growth images --rounds 0",
    "growth-size": f"{BENCHMARK} {{model}} --dtype bfloat16 --growth size --rounds 0",
    "growth-objects": f"{BENCHMARK} --tiny --growth objects --rounds 9",
    "growth-megapixels": f"{BENCHMARK} {{model}} --image-size 1008 --growth megapixels --rounds 3",
    "growth-calls": f"{BENCHMARK} {{model}} --dtype bfloat16 --image-size 252 --growth calls",
}

ON_GPU = f"{BENCHMARK} {{model}} --device cuda --dtype bfloat16"
GPU_TABLES = {
    "gpu-one": f"{ON_GPU} --parts forward,vision --against transformers --rounds 10",
    "gpu-graphs": f"{ON_GPU} --parts forward --compile-mode reduce-overhead --against transformers --rounds 20",
    "gpu-compiled": f"{ON_GPU} --parts forward --compile --against transformers --rounds 20",
    "gpu-throughput": f"{ON_GPU} --batch 1,8 --prompts 1,16 --rounds 2 --against transformers",
    "gpu-clicks": "python benchmarks/click.py --device cuda --dtype bfloat16 --rounds 9",
    "gpu-video": "python benchmarks/video.py --size full --device cuda --dtype bfloat16 --objects 1 16 64 --frames 3",
    "gpu-rate": "python benchmarks/video.py --rate --size full --device cuda --dtype bfloat16 --objects 5 --frames 12",
    "gpu-rate-compiled": "python benchmarks/video.py --rate --compile default --size full --device cuda "
    "--dtype bfloat16 --objects 5 --frames 12",
    "gpu-rate-graphs": "python benchmarks/video.py --rate --compile reduce-overhead --size full --device cuda "
    "--dtype bfloat16 --objects 5 --frames 20 --sessions concept",
}


def run(command: str, threads: int | None) -> tuple[str, float]:
    """What a command prints, and how long it took; what it says on stderr where it fails."""
    words = shlex.split(command)
    program = [sys.executable, "-m", "sam3_hf"] if words[0] == "sam3-hf" else [sys.executable]
    more = [f"--threads={threads}"] if threads and words[0] == "sam3-hf" else []
    start = time.perf_counter()
    done = subprocess.run([*program, *words[1:], *more], capture_output=True, text=True, check=False)
    failed = f"\nFailed ({done.returncode}):\n{done.stderr[-2000:]}" if done.returncode else ""
    lines = [line.rstrip() for line in (done.stdout + failed).splitlines()]
    return "\n".join(lines).strip(), time.perf_counter() - start


def main() -> None:
    """Run the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", action="store_true", help="The tables of a GPU.")
    parser.add_argument("--only", help="Names, separated by commas.")
    parser.add_argument("--list", action="store_true", help="Show names and commands, and stop.")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--output", type=Path, help="Also write the tables to this file.")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    tables = GPU_TABLES if arguments.gpu else TABLES
    names = arguments.only.split(",") if arguments.only else list(tables)
    stray = [name for name in names if name not in tables]
    if stray:
        parser.error(f"no table {', '.join(stray)}; there are {', '.join(tables)}")
    if arguments.output and arguments.output.exists():
        parser.error(f"{arguments.output} exists")
    done = []
    for name in names:
        command = " ".join(tables[name].format(model="--tiny" if arguments.tiny else "").split())
        if arguments.list:
            print(f"{name}: {command}")
            continue
        printed, seconds = run(command, arguments.threads)
        done.append(f"### {name}\n\n`{command}` ({seconds:.0f} s)\n\n{printed}\n")
        print(done[-1], flush=True)
        if arguments.output:
            arguments.output.write_text("\n".join(done), encoding="utf-8")


if __name__ == "__main__":
    main()
