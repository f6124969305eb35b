"""Every example of the document on clicks runs, on a tiny checkpoint that holds both models."""

import json
import re
import shlex
import shutil
import warnings
from pathlib import Path

import pytest
from safetensors.torch import save_file

from sam3_hf.cli.app import run
from tests.support import golden
from tests.support import tracker_golden as recorded
from tests.support.folders import finding_model, tiny_processor

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "clicks.md").read_text()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples mention; `facebook/sam3` is a small model in the released layout."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(ROOT / "docs" / "images", folder / "docs" / "images")
    model = folder / "facebook" / "sam3"
    model.mkdir(parents=True)
    concepts = finding_model()
    weights = {name: tensor for name, tensor in recorded.released_weights().items() if name.startswith("tracker_")}
    weights |= {f"detector_model.{name}": tensor for name, tensor in concepts.state_dict().items()}
    copies = {name: tensor.clone().contiguous() for name, tensor in weights.items()}
    save_file(copies, model / "model.safetensors", {"format": "pt"})
    config = json.loads((golden.FOLDER / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"detector_config": concepts.config.to_dict()}, default=str))
    tiny_processor(model).save_pretrained(model)
    return folder


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def test_python_examples_run(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    namespace: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the examples leave the photograph open
        warnings.simplefilter("ignore", FutureWarning)  # transformers imports its video model for the pipeline
        for block in blocks("python"):
            exec(compile(block, "clicks.md", "exec"), namespace)
    assert namespace["best"].shape == (512, 512)
    assert isinstance(namespace["masks"], list)


def test_commands_run(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    for command in blocks("bash")[0].splitlines():
        assert run(shlex.split(command)[1:]) == 0, command
    assert (desk / "results" / "astronaut.json").exists()
