import json
from pathlib import Path

import pytest
import torch
from tests.support.memories import frame_memory

from sam3_hf.video.state import MemoryBank, MemoryLimits
from sam3_hf.video.storage import Stored, read_state, restore_bank, store_bank, write_state

STORED = Stored({"counts": [1, 2], "share": 0.1}, {"mask": torch.randn(2, 3), "memory": torch.ones(2).bfloat16()})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_state(tmp_path / "state", "test", STORED)
    values, tensors = read_state(tmp_path / "state", "test")
    assert values == STORED.values
    assert all(torch.equal(tensors[name], tensor) for name, tensor in STORED.tensors.items())
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["state.json", "state.safetensors"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write_state(tmp_path / "state", "test", STORED)
    with pytest.raises(ValueError, match="is there already, and is not overwritten"):
        write_state(tmp_path / "state", "test", STORED)


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_state(tmp_path / "state", "test", Stored({"value": object()}, {}))
    assert list(tmp_path.iterdir()) == []


def test_another_kind_is_refused(tmp_path: Path) -> None:
    write_state(tmp_path / "state", "test", STORED)
    with pytest.raises(ValueError, match="holds 'test', version 1; 'other', version 1, is expected"):
        read_state(tmp_path / "state", "other")


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    write_state(tmp_path / "state", "test", STORED)
    (tmp_path / "state" / name).unlink()
    with pytest.raises(ValueError, match=f"holds no saved state: {name} missing"):
        read_state(tmp_path / "state", "test")


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_a_changed_byte_is_found(name: str, tmp_path: Path) -> None:
    write_state(tmp_path / "state", "test", STORED)
    path = tmp_path / "state" / name
    data = bytearray(path.read_bytes())
    place = data.index(b"0.1") + 2 if name == "state.json" else len(data) - 1
    data[place] = ord("2")
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{name} is damaged: its checksum"):
        read_state(tmp_path / "state", "test")


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"kind": "test'])
def test_what_is_no_state_is_refused(text: str, tmp_path: Path) -> None:
    write_state(tmp_path / "state", "test", STORED)
    (tmp_path / "state" / "state.json").write_text(text)
    with pytest.raises(ValueError, match=r"state\.json is damaged or not the JSON of a saved state"):
        read_state(tmp_path / "state", "test")


def test_a_bank_comes_back_as_it_was() -> None:
    bank = MemoryBank(2, MemoryLimits(recent=3))
    for number in (7, 2):
        bank.remember(number, frame_memory(2, value=float(number)), conditioning=True)
    for number in range(3, 12):
        bank.remember(number, frame_memory(2, value=number / 3, presence=number - 5.25))
    stored = store_bank(bank, "a")
    found = restore_bank(json.loads(json.dumps(stored.values)), stored.tensors, "a")
    assert (found.objects, found.limits) == (bank.objects, bank.limits)
    for mine, other in ((found.conditioning, bank.conditioning), (found.tracked, bank.tracked)):
        assert list(mine) == list(other)
        for number, memory in other.items():
            again = mine[number]
            assert (again.presence, again.ious, again.reverse) == (memory.presence, memory.ious, memory.reverse)
            assert again.tensors().keys() == memory.tensors().keys()
            assert all(torch.equal(again.tensors()[name], part) for name, part in memory.tensors().items())


def test_a_bank_without_limits_comes_back_without() -> None:
    stored = store_bank(MemoryBank(1, None), "a")
    assert restore_bank(stored.values, stored.tensors, "a").limits is None
