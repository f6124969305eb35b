import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sam3_hf.datasets.coco import CocoDataset
from sam3_hf.evaluation.models import evaluate_model
from sam3_hf.loading import load


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
def test_two_processes_train_one_model_and_evaluate_together(data: Path, model_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    launch = ["torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(free_port())]
    command = ["-m", "sam3_hf", "finetune", str(data), "--model", str(model_folder), "--output", str(output)]
    command += [
        "--epochs",
        "2",
        "--batch-size",
        "1",
        "--accumulate",
        "2",
        "--cpu",
        "--log-every",
        "1",
        "--preset",
        "all",
    ]
    run = subprocess.run([sys.executable, "-m", *launch, *command], capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stderr
    state = json.loads((output / "training" / "checkpoint-4" / "trainer_state.json").read_text())
    assert state["max_steps"] == 4  # 6 images, 2 processes, 2 batches per step, 2 epochs
    loaded = load(output)
    again = evaluate_model(loaded.model, loaded.processor, CocoDataset(data / "valid" / "_annotations.coco.json"))
    told = json.loads((output / "eval_results.json").read_text())
    assert told == {name: pytest.approx(again[name], abs=1e-9) for name in told}
    assert run.stdout.count("The model is in") == 1
