"""Every layout that holds a whole video model, loaded."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import sam3_hf
from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.modeling_sam3_video import Sam3VideoModel
from tests.support import concept_golden as recorded
from tests.support import golden, video_golden
from tests.support.checkpoints import released_shapes


def equals_recorded(model: Sam3VideoModel) -> bool:
    expected, found = recorded.tiny_weights(), model.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def write_released(folder: Path, spelling: Callable[[str], str] = str) -> Path:
    weights = {spelling(name): tensor.clone().contiguous() for name, tensor in recorded.tiny_weights().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(recorded.released_config()))
    return folder


def test_the_released_layout(tmp_path: Path) -> None:
    model = Sam3VideoModel.from_pretrained(write_released(tmp_path))
    assert equals_recorded(model)
    assert not model.training


def garbled_in_5_8(name: str) -> str:
    name = name.replace("vision_encoder.neck.", "tracker_neck.")
    return "tracker_model." + name.replace("vision_encoder.backbone.", "detector_model.vision_encoder.backbone.")


def garbled_since_5_10(name: str) -> str:
    return "tracker_model." + name if name.startswith("tracker_model.") else name


SPELLINGS = pytest.mark.parametrize("spelling", [garbled_in_5_8, garbled_since_5_10])


@SPELLINGS
def test_names_that_transformers_garbled_on_saving(tmp_path: Path, spelling: Callable[[str], str]) -> None:
    assert equals_recorded(Sam3VideoModel.from_pretrained(write_released(tmp_path, spelling)))


def assert_saved_in_released_names(model: Sam3VideoModel, folder: Path) -> None:
    model.save_pretrained(folder)
    saved = load_file(folder / "model.safetensors")
    assert saved.keys() == recorded.tiny_weights().keys()
    assert equals_recorded(Sam3VideoModel.from_pretrained(folder))


@SPELLINGS
def test_a_loaded_model_is_saved_in_the_released_names(tmp_path: Path, spelling: Callable[[str], str]) -> None:
    model = Sam3VideoModel.from_pretrained(write_released(tmp_path, spelling))
    assert_saved_in_released_names(model, tmp_path / "saved")


def test_a_new_model_is_saved_in_the_released_names(tmp_path: Path) -> None:
    assert_saved_in_released_names(recorded.tiny_model(), tmp_path)


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


@pytest.fixture(scope="module")
def of_transformers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders that transformers' own class wrote: a new model, and the same one loaded; and what they should hold."""
    root = tmp_path_factory.mktemp("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its video code compiles with torch.jit
        sam3_hf.unregister_auto_classes()
        try:
            write_folders_of_transformers(root)
        finally:
            sam3_hf.register_auto_classes()
    return root


def write_folders_of_transformers(root: Path) -> None:
    config = transformers.Sam3VideoConfig(**video_golden.for_transformers(recorded.released_config()))
    model = transformers.Sam3VideoModel(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    model.save_pretrained(root / "new")
    config.save_pretrained(root / "right")
    weights = {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, root / "right" / "model.safetensors", {"format": "pt"})
    transformers.Sam3VideoModel.from_pretrained(root / "right").save_pretrained(root / "loaded")


@pytest.mark.parametrize("folder", ["new", "loaded"])
@pytest.mark.parametrize(
    ("kind", "released_name"),
    [
        (Sam3VideoModel, str),
        (Sam3TrackerVideoModel, video_golden.released_name),
        (Sam3TrackerModel, video_golden.released_name),
        (Sam3Model, "detector_model.{}".format),
    ],
)
def test_every_weight_that_transformers_saved_is_loaded(
    of_transformers: Path, folder: str, kind: Any, released_name: Callable[[str], str]
) -> None:
    made = load_file(of_transformers / "right" / "model.safetensors")
    model = kind.from_pretrained(of_transformers / folder)
    loaded = {released_name(name): tensor for name, tensor in model.state_dict().items()}
    assert [name for name, tensor in loaded.items() if not tensor.equal(made[name])] == []
    if kind is Sam3VideoModel:
        assert loaded.keys() == made.keys()
