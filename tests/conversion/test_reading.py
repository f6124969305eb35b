import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from tests.support.checkpoints import TINY_CHECKPOINT

from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.reading import read_checkpoint

WEIGHTS = {"detector.a": torch.arange(3.0), "tracker.b": torch.ones(2, 2)}


class Trap:
    """Would make a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def same(tensors):
    return tensors.keys() == WEIGHTS.keys() and all(torch.equal(tensors[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("content", [WEIGHTS, {"model": WEIGHTS}, {"model": WEIGHTS, "epoch": 3}])
@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.PT"])
def test_flat_and_nested_files_are_the_same(tmp_path, content, name):
    torch.save(content, tmp_path / name)
    assert same(read_checkpoint(tmp_path / name))


def test_safetensors_are_the_same(tmp_path):
    save_file(WEIGHTS, tmp_path / "a.safetensors")
    assert same(read_checkpoint(tmp_path / "a.safetensors"))


def test_older_names_of_the_two_models_are_read(tmp_path):
    torch.save({"sam3_model.a": WEIGHTS["detector.a"], "sam2_predictor.b": WEIGHTS["tracker.b"]}, tmp_path / "a.pt")
    assert same(read_checkpoint(tmp_path / "a.pt"))


@pytest.mark.parametrize("record", ["archive/data.pkl", "archive/data/0"])
def test_a_compressed_archive_is_not_unpacked(tmp_path, record):
    torch.save(WEIGHTS, tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(tmp_path / "a.pt", "w") as bomb:
        for entry in whole.infolist():
            name = entry.filename.replace("whole/", "archive/")
            bomb.writestr(name, bytes(50_000_000) if name == record else whole.read(entry), zipfile.ZIP_DEFLATED)
    assert (tmp_path / "a.pt").stat().st_size < 1e6
    with pytest.raises(ConversionError, match="was not unpacked"):
        read_checkpoint(tmp_path / "a.pt")


def test_an_archive_that_claims_more_than_it_holds_is_refused(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "a.pt")
    data = bytearray((tmp_path / "a.pt").read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (1 << 30).to_bytes(4, "little")
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(ConversionError, match="was not unpacked"):
        read_checkpoint(tmp_path / "a.pt")


def test_code_in_a_pickle_is_not_run(tmp_path):
    torch.save({"detector.a": Trap(tmp_path / "made")}, tmp_path / "a.pt")
    with pytest.raises(ConversionError, match="code in it is not run"):
        read_checkpoint(tmp_path / "a.pt")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("kept", [0, 10, 1000, 2_000_000])
@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_truncated_file_is_called_incomplete(tmp_path, kept, name):
    torch.save({"a": torch.ones(1)}, tmp_path / "whole.pt")
    save_file({"a": torch.ones(600_000)}, tmp_path / "whole.safetensors")
    source = tmp_path / "whole.safetensors" if name.endswith("safetensors") else TINY_CHECKPOINT
    (tmp_path / name).write_bytes(source.read_bytes()[:kept])
    with pytest.raises(ConversionError, match="not a complete"):
        read_checkpoint(tmp_path / name)


def test_text_under_a_checkpoint_name_is_called_incomplete_or_unsafe(tmp_path):
    (tmp_path / "a.pt").write_text("<html>Access denied</html>")
    with pytest.raises(ConversionError, match=r"a\.pt"):
        read_checkpoint(tmp_path / "a.pt")


def test_an_old_pickle_file_is_refused(tmp_path):
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ConversionError, match="not a complete"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (torch.ones(3), "no dictionary of tensors"),
        ({}, "no dictionary of tensors"),
        ({"model": {}}, "no dictionary of tensors"),
        ({"state": {"a": torch.ones(1)}, "epoch": 1}, "2 entries that are not tensors, such as 'state'"),
    ],
)
def test_other_contents_are_described(tmp_path, content, said):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ConversionError, match=said):
        read_checkpoint(tmp_path / "a.pt")


def test_missing_files_folders_and_other_types_are_named(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"x")
    for path, said in [
        (tmp_path / "no.pt", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "a.bin", "ends in"),
    ]:
        with pytest.raises(ConversionError, match=said):
            read_checkpoint(path)
