"""Both sides of a comparison, each in fresh processes and in turn, on a model of random weights in a folder.

script --child write -> folder; script --child SIDE -> what it measured, as JSON -> every run of every side
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SIDES = ("sam3_hf", "transformers")
Runs = dict[str, list[dict[str, float]]]


def compare(
    script: str,
    description: str,
    measure: Callable[[str, Path, str], dict[str, float]],
    report: Callable[[Runs, argparse.Namespace], None],
    rounds: int,
    stored: str | None = None,
) -> None:
    """Be the script's command, and what its child processes do.

    Args:
        script: Its file.
        description: Its help.
        measure: What a child process does, with a side, a folder and a dtype; it imports what it needs.
        report: Prints what was measured.
        rounds: Of each side, if not told otherwise.
        stored: Type of the weights in the folder; that which is loaded if not given.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--child", choices=["write", *SIDES], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "write":
        _write(options.folder, stored or options.dtype, options.tiny)
    elif options.child:
        print(json.dumps(measure(options.child, options.folder, options.dtype)))
    else:
        report(_runs(script, options), options)


def _write(folder: Path, dtype: str, tiny: bool) -> None:
    from sam3_hf.benchmarking.models import build
    from sam3_hf.benchmarking.settings import Settings

    build(Settings(tiny=tiny, dtype=dtype)).model.save_pretrained(folder)


def _runs(script: str, options: argparse.Namespace) -> Runs:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-W", "ignore", script, "--folder", str(options.folder or scratch)]
        command += ["--dtype", options.dtype, "--child"]
        if options.folder is None:
            _said([*command, "write", *(["--tiny"] if options.tiny else [])])
        runs: Runs = {side: [] for side in SIDES}
        for _ in range(options.rounds):
            for side in SIDES:
                runs[side].append(json.loads(_said([*command, side]).splitlines()[-1]))
    return runs


def _said(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
