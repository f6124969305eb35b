"""Every example of the document on fine-tuning runs, on a small model."""

import re
from pathlib import Path

import pytest

from sam3_hf.cli.app import run
from tests.support.coco import write_dataset
from tests.support.folders import write_model_folder

DOCUMENT = (Path(__file__).parents[1] / "docs" / "training.md").read_text()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples mention; `facebook/sam3` is a small model."""
    folder = tmp_path_factory.mktemp("desk")
    write_model_folder(folder / "facebook" / "sam3")
    write_dataset(folder / "DATA", train=2, valid=1)
    return folder


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_python_examples_run(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    namespace: dict = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL):
        exec(compile(block, "training.md", "exec"), namespace)
    assert (desk / "adapter" / "adapter_model.safetensors").is_file()
    assert (desk / "merged" / "model.safetensors").is_file()


def test_every_option_that_it_names_exists(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert run(["finetune", "--help"]) == 0
    known = capsys.readouterr().out
    named = set(re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", DOCUMENT))
    assert len(named) > 12
    assert not [option for option in named if option not in known]
