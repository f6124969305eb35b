import json
from pathlib import Path

import pytest
import transformers

import sam3_hf.configuration_sam3_tracker as ours
from tests.support import golden
from tests.support.tracker_golden import FOLDER

CLASSES = ["Sam3TrackerConfig", "Sam3TrackerMaskDecoderConfig", "Sam3TrackerPromptEncoderConfig"]


def plain(config: transformers.PreTrainedConfig) -> dict:
    """What a configuration says, with the two spellings of the rotary base made one, and without the names of types.

    The oldest supported transformers has no names for the parts.
    """
    text = json.loads(config.to_json_string(use_diff=False))

    def same_spelling(values: dict) -> dict:
        rotary = values.pop("rope_parameters", None)
        values.pop("model_type", None)
        values.pop("drop_path_rate", None)  # a setting of training that only we have
        if rotary:
            values["rope_theta"] = rotary["rope_theta"]
        return {key: same_spelling(value) if isinstance(value, dict) else value for key, value in values.items()}

    return same_spelling(text)


@pytest.mark.parametrize("name", CLASSES)
def test_defaults_are_those_of_transformers(name: str) -> None:
    assert plain(getattr(ours, name)()) == plain(getattr(transformers, name)())


@pytest.mark.parametrize("name", CLASSES)
def test_files_are_read_both_ways(name: str, tmp_path: Path) -> None:
    mine, theirs = getattr(ours, name), getattr(transformers, name)
    change = {"initializer_range": 0.3} if name == "Sam3TrackerConfig" else {"hidden_size": 64}
    theirs(**change).save_pretrained(tmp_path / "theirs")
    read = mine.from_pretrained(tmp_path / "theirs")
    assert plain(read) == plain(theirs(**change))
    read.save_pretrained(tmp_path / "ours")
    assert plain(theirs.from_pretrained(tmp_path / "ours")) == plain(read)


def test_the_released_configuration_gives_its_image_tracker(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((golden.FOLDER / "config.json").read_text())
    config = ours.Sam3TrackerConfig.from_pretrained(tmp_path)
    recorded = ours.Sam3TrackerConfig.from_dict(json.loads((FOLDER / "config_sam3_tracker.json").read_text()))
    assert config.prompt_encoder_config.to_dict() == recorded.prompt_encoder_config.to_dict()
    assert config.vision_config.backbone_config.layer_norm_eps == 1e-5
    assert config.to_dict()["model_type"] == "sam3_tracker"
    assert not hasattr(config, "num_maskmem")


def test_the_image_size_is_one_for_all_parts() -> None:
    config = ours.Sam3TrackerConfig()
    config.image_size = 504
    assert config.prompt_encoder_config.image_size == config.vision_config.backbone_config.image_size == 504
