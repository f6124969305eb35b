from pathlib import Path

import pytest
import transformers

import sam3_hf.configuration_sam3_tracker_video as ours
from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from tests.support import golden
from tests.test_configuration_sam3_tracker import plain

CLASSES = ["Sam3TrackerVideoConfig", "Sam3TrackerVideoMaskDecoderConfig", "Sam3TrackerVideoPromptEncoderConfig"]
# What one side alone has: the selection of memories and the ViT's drop path, and a copy of the image size.
NOT_SHARED = {"use_memory_selection", "memory_selection_threshold", "drop_path_rate", "image_size"}

# Where older transformers write the base of the rotary frequencies.
OLD_BASE = "memory_attention_rope_theta"


def comparable(config: transformers.PreTrainedConfig) -> dict:
    def shared(values: dict) -> dict:
        known = {name: value for name, value in values.items() if name not in NOT_SHARED}
        if OLD_BASE in known:
            known["rope_theta"] = float(known.pop(OLD_BASE))
        return {name: shared(value) if isinstance(value, dict) else value for name, value in known.items()}

    return shared(plain(config))


@pytest.mark.parametrize("name", CLASSES)
def test_defaults_are_those_of_transformers(name: str) -> None:
    assert comparable(getattr(ours, name)()) == comparable(getattr(transformers, name)())


@pytest.mark.parametrize("name", CLASSES)
def test_files_are_read_both_ways(name: str, tmp_path: Path) -> None:
    mine, theirs = getattr(ours, name), getattr(transformers, name)
    change = {"num_maskmem": 5} if name == "Sam3TrackerVideoConfig" else {"hidden_size": 64}
    theirs(**change).save_pretrained(tmp_path / "theirs")
    read = mine.from_pretrained(tmp_path / "theirs")
    assert comparable(read) == comparable(theirs(**change))
    read.save_pretrained(tmp_path / "ours")
    assert comparable(theirs.from_pretrained(tmp_path / "ours")) == comparable(read)


def test_the_released_configuration_gives_its_video_tracker(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((golden.FOLDER / "config.json").read_text())
    config = ours.Sam3TrackerVideoConfig.from_pretrained(tmp_path)
    assert (config.memory_encoder_output_channels, config.memory_attention_num_layers) == (16, 2)
    assert config.vision_config.backbone_config.layer_norm_eps == 1e-5
    assert config.use_memory_selection


def theirs_with_base(theta: float) -> transformers.PreTrainedConfig:
    rotary = {"rope_parameters": {"rope_type": "axial", "rope_theta": theta}}
    old = OLD_BASE in transformers.Sam3TrackerVideoConfig().to_dict()
    return transformers.Sam3TrackerVideoConfig(**({OLD_BASE: int(theta)} if old else rotary))


def test_the_base_of_the_rotary_embedding_is_read_from_files_of_transformers(tmp_path: Path) -> None:
    theirs = theirs_with_base(5000.0)
    theirs.save_pretrained(tmp_path / "tracker")
    transformers.Sam3VideoConfig(tracker_config=theirs.to_dict()).save_pretrained(tmp_path / "video")
    for read in (
        ours.Sam3TrackerVideoConfig.from_pretrained(tmp_path / "tracker"),
        ours.Sam3TrackerVideoConfig.from_pretrained(tmp_path / "video"),
        Sam3VideoConfig.from_pretrained(tmp_path / "video").tracker_config,
    ):
        assert read.rope_parameters == {"rope_type": "axial", "rope_theta": 5000.0}


def test_a_configuration_says_nothing_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    transformers.utils.logging.enable_propagation()
    try:
        ours.Sam3TrackerVideoConfig().save_pretrained(tmp_path)
        ours.Sam3TrackerVideoConfig.from_pretrained(tmp_path)
    finally:
        transformers.utils.logging.disable_propagation()
    assert not caplog.records


def test_the_base_of_the_rotary_embedding_is_read_in_both_spellings() -> None:
    old = ours.Sam3TrackerVideoConfig(memory_attention_rope_theta=5000.0)
    new = ours.Sam3TrackerVideoConfig(rope_parameters={"rope_type": "axial", "rope_theta": 5000.0})
    assert old.rope_parameters == new.rope_parameters
    released = ours.Sam3TrackerVideoConfig(rope_parameters={"rope_type": "axial"})
    assert released.rope_parameters == {"rope_type": "axial", "rope_theta": 10000.0}
    with pytest.raises(ValueError, match="rope_type must be 'axial', got 'linear'"):
        ours.Sam3TrackerVideoConfig(rope_parameters={"rope_type": "linear", "rope_theta": 1.0})


def test_the_image_size_is_one_for_all_parts() -> None:
    config = ours.Sam3TrackerVideoConfig(image_size=504)
    assert config.prompt_encoder_config.image_size == config.vision_config.backbone_config.image_size == 504
    assert config.memory_attention_rope_feat_sizes == [36, 36]
