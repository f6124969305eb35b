"""The look at weight files that goes on while they are loaded."""

import json
from collections.abc import Callable
from math import inf, isnan
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sam3_hf import weight_values
from sam3_hf.loaded_weights import check_finite
from sam3_hf.modeling_base import _LARGEST
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.weight_values import extremes, largest, looking_at

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(**tensors: torch.Tensor) -> str:
        save_file(tensors, tmp_path / "model.safetensors")
        return str(tmp_path / "model.safetensors")

    return write


@pytest.mark.parametrize("piece", [2**16, 2**29])
@pytest.mark.parametrize("place", [0, 49_999, -1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_magnitude_is_found_wherever_it_is(
    write: Callable[..., str], monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, place: int, piece: int
) -> None:
    monkeypatch.setattr(weight_values, "_PIECE", piece)
    tensor = torch.rand(100_000).to(dtype)
    tensor[place] = -512
    assert largest(extremes([write(a=torch.rand(3), b=tensor, c=torch.arange(9))])) == 512


@pytest.mark.parametrize("value", [float("nan"), inf, -inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_no_number_is_never_missed(write: Callable[..., str], dtype: torch.dtype, value: float) -> None:
    tensor = torch.rand(1000).to(dtype)
    tensor[700] = value
    found = largest(extremes([write(a=torch.rand(1000), b=tensor)]))
    assert isnan(found) if isnan(value) else found == inf


def test_whole_numbers_and_empty_tensors_do_not_count(write: Callable[..., str]) -> None:
    assert largest(extremes([write(a=torch.arange(9), b=torch.zeros(0))])) == 0


def test_files_that_cannot_tell_say_infinity(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    header += b" " * ((3 - len(header)) % 4)
    askew = tmp_path / "askew.safetensors"
    askew.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    for files in ([], [str(tmp_path / "pytorch_model.bin")], [str(askew)]):
        assert largest(extremes(files)) == inf


def test_the_answer_is_there_when_the_body_has_left(write: Callable[..., str]) -> None:
    with looking_at([write(a=torch.full((5,), 3.0))]) as look:
        pass
    assert look.done()
    assert largest(look.result()) == 3


@pytest.mark.parametrize(("reach", "looked_at"), [(65504.0, False), (65505.0, True), (inf, True), (float("nan"), True)])
def test_tensors_are_looked_at_only_if_their_type_may_not_hold_the_files(
    monkeypatch: pytest.MonkeyPatch, reach: float, looked_at: bool
) -> None:
    model, seen = torch.nn.Linear(3, 3).half(), []
    monkeypatch.setattr("sam3_hf.loaded_weights._is_finite", lambda tensor: seen.append(tensor) or True)
    check_finite(model, "folder", reach)
    assert bool(seen) is looked_at


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sound_folder_is_looked_at_once(
    tmp_path: Path, tiny: Sam3Model, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    tiny.save_pretrained(tmp_path)
    monkeypatch.setattr("sam3_hf.loaded_weights._is_finite", lambda tensor: pytest.fail("looked twice"))
    model = Sam3Model.from_pretrained(tmp_path, dtype=dtype)
    assert model.dtype == dtype
    assert _LARGEST not in vars(model)
