"""The released size, from checkpoint to masks; takes minutes and 8 GB of disk."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tolerances import ORIGINAL

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "full_size.py"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_photograph_is_segmented_as_by_the_parts_of_transformers(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(tmp_path / "work")]
    try:
        every_thread = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=every_thread).stdout
    finally:
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
    steps = {step["step"]: step for step in map(json.loads, output.splitlines())}
    assert steps["convert"]["peak_gib"] < 2.2 * steps["write_checkpoint"]["gigabytes"]
    for prompt in ("text", "text_and_boxes"):
        assert steps["segment"][f"{prompt}_objects"] == 20
        assert steps["segment"][f"{prompt}_mask_pixels"] > 0
        for name, tolerance in ORIGINAL.items():
            assert steps["compare"][f"{prompt}_{name}"]["error"] < tolerance, (prompt, name)
            assert steps["compare"][f"{prompt}_{name}"]["largest"] > 0.1, (prompt, name)
