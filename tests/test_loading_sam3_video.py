"""Every layout that holds a whole video model, loaded."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.modeling_sam3_video import Sam3VideoModel
from tests.support import concept_golden as recorded
from tests.support import golden
from tests.support.checkpoints import released_shapes


def equals_recorded(model: Sam3VideoModel) -> bool:
    expected, found = recorded.tiny_weights(), model.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def write_released(folder: Path, prefix: str = "") -> Path:
    weights = {prefix + name: tensor.clone().contiguous() for name, tensor in recorded.tiny_weights().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(recorded.released_config()))
    return folder


def test_the_released_layout(tmp_path: Path) -> None:
    model = Sam3VideoModel.from_pretrained(write_released(tmp_path))
    assert equals_recorded(model)
    assert not model.training


def test_names_that_transformers_garbled_on_saving(tmp_path: Path) -> None:
    assert equals_recorded(Sam3VideoModel.from_pretrained(write_released(tmp_path, "tracker_model.")))


def test_a_saved_model_has_the_released_names(tmp_path: Path) -> None:
    Sam3VideoModel.from_pretrained(write_released(tmp_path)).save_pretrained(tmp_path / "saved")
    assert load_file(tmp_path / "saved" / "model.safetensors").keys() == recorded.tiny_weights().keys()
    assert equals_recorded(Sam3VideoModel.from_pretrained(tmp_path / "saved"))


def test_a_checkpoint_of_the_original(tmp_path: Path) -> None:
    original = torch.load(golden.FOLDER / "sam3_tiny.pt", weights_only=True)
    original.update(load_file(recorded.FOLDER / "overrides.safetensors"))
    torch.save(original, tmp_path / "sam3.pt")
    assert equals_recorded(Sam3VideoModel.from_original(tmp_path / "sam3.pt", golden.FOLDER / "config.json"))


def test_names_and_shapes_are_those_of_the_release() -> None:
    with torch.device("meta"):
        model = Sam3VideoModel(Sam3VideoConfig())
    found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert found == released_shapes("hf")


def test_a_missing_part_is_refused(tmp_path: Path) -> None:
    folder = write_released(tmp_path)
    weights = {
        name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if "tracker_neck" not in name
    }
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="missing from the checkpoint"):
        Sam3VideoModel.from_pretrained(folder)
