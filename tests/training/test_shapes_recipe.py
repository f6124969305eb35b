"""The documented command that trains the embedded model, for a step or two of every lesson."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sam3_hf import Sam3Model, Sam3Processor

ROOT = Path(__file__).parents[2]
LESSONS = ("look", "read", "find", "sharpen", "apart")


@pytest.mark.slow
def test_every_lesson_runs_and_a_run_goes_on_where_it_was_left(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "examples/train_shapes.py",
        str(tmp_path),
        "--images",
        *["2"] * 5,
        "--prompts",
        *["1"] * 5,
    ]
    subprocess.run([*command, "--steps", *["2"] * 5], cwd=ROOT, check=True, capture_output=True, timeout=400)
    assert {path.name for path in tmp_path.iterdir()} == {*LESSONS, "shapes"}
    model = Sam3Model.from_pretrained(tmp_path / "shapes")
    assert Sam3Processor.from_pretrained(tmp_path / "shapes").tokenizer.vocab_size == 651
    assert not model.config.loss_config.use_dac
    # The ViT learned in the first lesson alone, queries also in the last.
    vits = [_weights(tmp_path / name, "vision_encoder.backbone.layers.0.mlp.fc1") for name in LESSONS]
    assert all(vits[0].equal(other) for other in vits[1:])
    sharpened, apart = (_weights(tmp_path / name, "detr_decoder.layers.0.mlp.fc1") for name in LESSONS[-2:])
    assert not sharpened.equal(apart)

    (tmp_path / "apart" / "model.safetensors").unlink()
    subprocess.run([*command, "--steps", *["2"] * 4, "3"], cwd=ROOT, check=True, capture_output=True, timeout=400)
    assert not _weights(tmp_path / "apart", "detr_decoder.layers.0.mlp.fc1").equal(apart)


def _weights(folder: Path, name: str) -> torch.Tensor:
    return Sam3Model.from_pretrained(folder).get_submodule(name).get_parameter("weight").detach()
