"""The documented command that trains the embedded model, for a step or two of every lesson."""

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from sam3_hf import Sam3Model, Sam3Processor, Sam3TrackerVideoModel, Sam3VideoModel

ROOT = Path(__file__).parents[2]
LESSONS = ("look", "read", "find", "sharpen", "apart", "outline", "alike")
TRACKER_LESSONS = ("point", "stills", "clips", "long_clips", "recognize", "recall", "long_recall")

MEASURED = ("--clips", "2", "--frames", "4", "--stills", "2")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two steps of every lesson leave, by two processes."""
    folder = tmp_path_factory.mktemp("detector")
    _run(_two_processes(), *_few(folder), "--steps", *["2"] * 7)
    return folder


@pytest.mark.slow
def test_every_lesson_runs(detector: Path) -> None:
    assert {path.name for path in detector.iterdir()} == {*LESSONS, "shapes"}
    model = Sam3Model.from_pretrained(detector / "shapes")
    processor = Sam3Processor.from_pretrained(detector / "shapes")
    assert processor.tokenizer.vocab_size == 651
    assert processor.image_processor.nms_threshold == 0.5
    assert model.config.loss_config.use_dac
    # The ViT learns in the first lesson and the last two.
    vits = [_weights(detector / name, "vision_encoder.backbone.layers.0.mlp.fc1") for name in LESSONS]
    assert all(vits[0].equal(other) for other in vits[1:5])
    assert not vits[4].equal(vits[5])
    queries = [_weights(detector / name, "detr_decoder.layers.0.mlp.fc1") for name in LESSONS[2:]]
    assert not any(one.equal(next) for one, next in pairwise(queries))


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_left(detector: Path, tmp_path: Path) -> None:
    folder = tmp_path / "detector"
    shutil.copytree(detector, folder)
    last = folder / LESSONS[-1] / "model.safetensors"
    last.unlink()
    _run([sys.executable], *_few(folder), "--steps", *["2"] * 6, "3")
    name = "detr_decoder.layers.0.mlp.fc1"
    assert not _weights(folder / LESSONS[-1], name).equal(_weights(detector / LESSONS[-1], name))
    assert _weights(folder / "shapes", name).equal(_weights(folder / LESSONS[-1], name).half().float())


@pytest.mark.slow
def test_a_tracker_is_taught_and_joined(detector: Path, tmp_path: Path) -> None:
    few = ("--images", "2", "--answers", "2", "--steps", *["2"] * 7, "--held-out", "4")
    _run([sys.executable], "examples/train_shapes_tracker.py", tmp_path, "--detector", detector / "shapes", *few)
    assert {path.name for path in tmp_path.iterdir()} == {*TRACKER_LESSONS, "shapes"}
    said = _run([sys.executable], "examples/measure_shapes_tracker.py", "--model", tmp_path / "shapes", *MEASURED)
    assert all(name in said for name in ("iou_1", "J&F, shown by a click", "pHOTA"))
    both = Sam3VideoModel.from_pretrained(tmp_path / "shapes")
    before, alone = (Sam3TrackerVideoModel.from_pretrained(tmp_path / name) for name in ("long_clips", "long_recall"))
    widths = [each.config.memory_encoder_output_channels for each in (before, alone, both.tracker_model)]
    assert widths == [16, 64, 64]
    name = "mask_decoder.transformer.layers.0.mlp.proj_in.weight"
    assert both.tracker_model.get_parameter(name).equal(alone.get_parameter(name).half().float())


def _few(folder: Path) -> tuple[object, ...]:
    """The command for so few pictures that it takes seconds."""
    return ("examples/train_shapes.py", folder, "--images", *["2"] * 7, "--prompts", *["1"] * 7)


def _two_processes() -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def _run(python: list[str], *arguments: object) -> str:
    command = [*python, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=600).stdout


def _weights(folder: Path, name: str) -> torch.Tensor:
    return Sam3Model.from_pretrained(folder).get_submodule(name).get_parameter("weight").detach()
