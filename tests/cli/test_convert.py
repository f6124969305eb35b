import pytest
import torch
from tests.support.checkpoints import TINY_CHECKPOINT, TINY_CONFIG, tiny_tensors, was_dropped

from sam3_hf.cli.app import run
from sam3_hf.conversion.reading import read_checkpoint


@pytest.fixture
def folder(tmp_path):
    arguments = ["convert", TINY_CHECKPOINT, tmp_path / "model", "--config", TINY_CONFIG, "--tokenizer", "none"]
    assert run([str(argument) for argument in arguments]) == 0
    return tmp_path / "model"


def test_a_checkpoint_becomes_a_folder_and_comes_back(folder, tmp_path, capsys):
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert run(["convert", str(folder), str(tmp_path / "sam3.pt"), "--to", "original"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Wrote {tmp_path / 'sam3.pt'}."
    original, back = tiny_tensors(), read_checkpoint(tmp_path / "sam3.pt")
    assert original.keys() - back.keys() == set(filter(was_dropped, original))
    assert sum(not torch.equal(back[name], original[name]) for name in back) == 1  # the class token's position


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--to", "onnx"], "error: --to must be huggingface or original, got 'onnx'."),
        (["--to", "original", "--part", "all"], "error: --part has no meaning with --to original; leave it out."),
        (
            ["--to", "original", "--dtype", "int8"],
            "error: dtype must be one of float32, bfloat16, float16, got 'int8'.",
        ),
        (["--part", "tracker"], "error: part must be one of all, detector, got 'tracker'."),
    ],
)
def test_wrong_options_are_told_in_one_line(tmp_path, capsys, options, said):
    assert run(["convert", str(tmp_path), str(tmp_path / "a.pt"), *options]) == 2
    assert capsys.readouterr().err.splitlines() == [said]


def test_every_line_of_a_longer_problem_is_told(tmp_path, capsys):
    assert run(["convert", str(TINY_CHECKPOINT), str(tmp_path / "model"), "--tokenizer", "none"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: The checkpoint does not fit the configuration:"
    assert lines[-1] == "error: If the model is not of the released size, pass its configuration."
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays_unless_overwriting_is_asked_for(folder, tmp_path, capsys):
    (tmp_path / "a.pt").write_text("mine")
    arguments = ["convert", str(folder), str(tmp_path / "a.pt"), "--to", "original"]
    assert run(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    assert run([*arguments, "--overwrite"]) == 0
