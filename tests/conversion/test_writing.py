import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.writing import WEIGHTS, refuse_overwriting, staging, write_weights


def files(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def write_half(output, error):
    with staging(output) as folder:
        (folder / "a").write_text("half")
        raise error


@pytest.mark.parametrize("exists", [False, True])
def test_files_appear_together_at_the_end(tmp_path, exists):
    output = tmp_path / "new" / "model"
    if exists:
        output.mkdir(parents=True)
        (output / "a").write_text("old")
        (output / "other").write_text("kept")
    with staging(output) as folder:
        (folder / "a").write_text("new")
        (folder / "b").write_text("new")
        assert not (output / "b").exists()
    assert files(output) == {"a": "new", "b": "new"} | ({"other": "kept"} if exists else {})
    assert [path.name for path in output.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_after_an_error(tmp_path, error, exists):
    output = tmp_path / "model"
    if exists:
        output.mkdir()
    with pytest.raises(error):
        write_half(output, error)
    assert [path.name for path in tmp_path.iterdir()] == (["model"] if exists else [])
    assert not exists or list(output.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(ConversionError, match="is a file"), staging(tmp_path / "model"):
        pass


def test_existing_files_of_the_same_name_are_refused(tmp_path):
    staged, output = tmp_path / "staged", tmp_path / "output"
    staged.mkdir()
    output.mkdir()
    (staged / "config.json").write_text("new")
    (output / "notes.txt").write_text("mine")
    refuse_overwriting(staged, output)
    (output / "config.json").write_text("old")
    (output / WEIGHTS).write_text("old")
    with pytest.raises(ConversionError, match=r"config\.json, model\.safetensors"):
        refuse_overwriting(staged, output)


def test_only_floating_point_numbers_change_their_type(tmp_path):
    path = tmp_path / WEIGHTS
    write_weights({"weight": torch.ones(2), "count": torch.tensor([3])}, path, torch.bfloat16)
    with safe_open(path, "pt") as opened:
        assert opened.metadata() == {"format": "pt"}
        assert opened.get_tensor("weight").dtype == torch.bfloat16
        assert opened.get_tensor("count").dtype == torch.int64


def test_the_library_reads_back_every_type_shape_and_view(tmp_path):
    types = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
    types += [torch.float16, torch.bfloat16, torch.float32, torch.float64]
    tensors = {str(dtype): torch.arange(5).to(dtype) for dtype in types}
    weight = torch.arange(6.0).reshape(2, 3)
    tensors |= {"one": weight, "same": weight, "turned": weight.T, "cut": weight[:, 1:], "none": weight[:0]}
    tensors |= {"number": torch.tensor(2.5), "umlaut \u00fc": weight}
    write_weights(tensors, tmp_path / WEIGHTS, None)
    read = load_file(tmp_path / WEIGHTS)
    assert read.keys() == tensors.keys()
    assert all(read[name].dtype == tensor.dtype and torch.equal(read[name], tensor) for name, tensor in tensors.items())
