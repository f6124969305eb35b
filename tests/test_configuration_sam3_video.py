from pathlib import Path

import pytest
import transformers

from sam3_hf.configuration_sam3_video import PRESETS, Sam3VideoConfig
from tests.support import concept_golden as recorded

RULES = sorted(
    transformers.Sam3VideoConfig.__annotations__.keys() - {"detector_config", "tracker_config", "model_type"}
)


def test_rules_are_named_and_set_as_in_transformers() -> None:
    ours, theirs = Sam3VideoConfig(), transformers.Sam3VideoConfig()
    rules = [name for name in RULES if not name.startswith(("sub_configs", "_"))]
    assert "hotstart_delay" in rules
    assert {name: getattr(ours, name) for name in rules} == {name: getattr(theirs, name) for name in rules}


def test_files_are_read_both_ways(tmp_path: Path) -> None:
    transformers.Sam3VideoConfig(hotstart_delay=9, new_det_thresh=0.6).save_pretrained(tmp_path / "theirs")
    read = Sam3VideoConfig.from_pretrained(tmp_path / "theirs")
    assert (read.hotstart_delay, read.new_det_thresh) == (9, 0.6)
    read.save_pretrained(tmp_path / "ours")
    again = transformers.Sam3VideoConfig.from_pretrained(tmp_path / "ours")
    assert (again.hotstart_delay, again.tracker_config.num_maskmem) == (9, 7)


def test_the_released_layout_gives_all_parts(tmp_path: Path) -> None:
    Sam3VideoConfig(**recorded.released_config()).save_pretrained(tmp_path)
    config = Sam3VideoConfig.from_pretrained(tmp_path)
    assert config.detector_config.detr_decoder_config.num_queries == 20
    assert config.tracker_config.memory_encoder_output_channels == 16


def test_presets_set_rules_by_name() -> None:
    config = Sam3VideoConfig()
    assert config.use_preset("ablation") is config
    assert (config.hotstart_delay, config.recondition_every_nth_frame) == (0, 0)
    assert not config.tracker_config.use_memory_selection
    assert config.use_preset("fast").detect_every_nth_frame == 4
    assert config.use_preset("released").to_dict() == Sam3VideoConfig().to_dict()
    assert config.tracker_config.use_memory_selection


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_saved(name: str, tmp_path: Path) -> None:
    config = Sam3VideoConfig().use_preset(name)
    config.save_pretrained(tmp_path)
    assert Sam3VideoConfig.from_pretrained(tmp_path).detect_every_nth_frame == config.detect_every_nth_frame


def test_the_image_size_reaches_every_part() -> None:
    config = Sam3VideoConfig()
    config.image_size = 504
    assert (config.detector_config.image_size, config.tracker_config.image_size) == (504, 504)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"hotstart_delay": 4}, "hotstart_unmatch_thresh is 8"),
        ({"hotstart_delay": 4, "hotstart_unmatch_thresh": 2}, "hotstart_dup_thresh is 8"),
        ({"detect_every_nth_frame": 0}, "1 or more"),
    ],
)
def test_rules_that_cannot_work_are_refused(rules: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sam3VideoConfig(**rules)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="released, ablation, fast"):
        Sam3VideoConfig().use_preset("slow")
