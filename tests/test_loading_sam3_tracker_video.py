"""Every layout that holds a video tracker, loaded."""

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file

from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig, video_tracker
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from tests.support import golden
from tests.support import video_golden as recorded
from tests.support.checkpoints import released_shapes


def equals_recorded(model: Sam3TrackerVideoModel) -> bool:
    expected = recorded.shared_tracker().state_dict()
    found = model.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_released_layout(tmp_path: Path) -> None:
    weights = {name: tensor.clone().contiguous() for name, tensor in recorded.weights().items()}
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text((golden.FOLDER / "config.json").read_text())
    assert equals_recorded(Sam3TrackerVideoModel.from_pretrained(tmp_path))


def test_a_folder_of_its_own(tmp_path: Path) -> None:
    recorded.shared_tracker().save_pretrained(tmp_path)
    assert equals_recorded(Sam3TrackerVideoModel.from_pretrained(tmp_path))


def test_a_checkpoint_of_the_original(tmp_path: Path) -> None:
    torch.save(recorded.original_weights(), tmp_path / "sam3.pt")
    model = Sam3TrackerVideoModel.from_original(tmp_path / "sam3.pt", golden.FOLDER / "config.json")
    assert equals_recorded(model)


def test_a_folder_of_transformers(tmp_path: Path) -> None:
    values = recorded.for_transformers(video_tracker(recorded.config_values()))
    theirs = transformers.Sam3TrackerVideoModel(transformers.Sam3TrackerVideoConfig(**values))
    theirs.save_pretrained(tmp_path)
    found, expected = Sam3TrackerVideoModel.from_pretrained(tmp_path).state_dict(), theirs.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_names_and_shapes_are_those_of_the_released_tracker() -> None:
    with torch.device("meta"):
        model = Sam3TrackerVideoModel(Sam3TrackerVideoConfig(), remove_vision_encoder=True)
    expected = {
        name.removeprefix("tracker_model."): shape
        for name, shape in released_shapes("hf").items()
        if name.startswith("tracker_model.")
    }
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == expected


def test_a_missing_part_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    recorded.shared_tracker().save_pretrained(tmp_path)
    weights = {
        name: part for name, part in recorded.shared_tracker().state_dict().items() if "memory_encoder" not in name
    }
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="missing from the checkpoint"):
        Sam3TrackerVideoModel.from_pretrained(tmp_path)
    model = Sam3TrackerVideoModel.from_pretrained(tmp_path, allow_missing="memory_encoder")
    assert (model.memory_encoder.memory_fuser.layers[0].scale == 1e-6).all()


def test_the_auto_classes_give_this_model(tmp_path: Path) -> None:
    recorded.shared_tracker().save_pretrained(tmp_path)
    recorded.processor().save_pretrained(tmp_path)
    assert type(transformers.AutoModel.from_pretrained(tmp_path)) is Sam3TrackerVideoModel
    assert type(transformers.AutoProcessor.from_pretrained(tmp_path)) is type(recorded.processor())
