import json
from pathlib import Path

import pytest
import transformers
from huggingface_hub.errors import StrictDataclassError

import sam3_hf
from tests.support import golden

CLASSES = [
    "Sam3Config",
    "Sam3DETRDecoderConfig",
    "Sam3DETREncoderConfig",
    "Sam3GeometryEncoderConfig",
    "Sam3MaskDecoderConfig",
    "Sam3VisionConfig",
    "Sam3ViTConfig",
]


# Settings of training, which transformers' model does not have.
OWN = ("drop_path_rate", "loss_config")


def plain(config: transformers.PreTrainedConfig) -> dict:
    """What a configuration says to both packages, with the two spellings of the rotary base made one."""
    values = json.loads(config.to_json_string(use_diff=False))

    def same_spelling(values: dict) -> dict:
        rotary = values.pop("rope_parameters", None)
        if rotary:
            values["rope_theta"] = rotary["rope_theta"]
        shared = {key: value for key, value in values.items() if key not in OWN}
        return {key: same_spelling(value) if isinstance(value, dict) else value for key, value in shared.items()}

    return same_spelling(values)


@pytest.mark.parametrize("name", CLASSES)
def test_defaults_are_those_of_transformers(name: str) -> None:
    assert plain(getattr(sam3_hf, name)()) == plain(getattr(transformers, name)())


@pytest.mark.parametrize("name", CLASSES)
def test_files_are_read_both_ways(name: str, tmp_path: Path) -> None:
    ours, theirs = getattr(sam3_hf, name), getattr(transformers, name)
    changed = {"Sam3Config": {"initializer_range": 0.3}, "Sam3VisionConfig": {"fpn_hidden_size": 64}}
    change = changed.get(name, {"hidden_size": 64})
    theirs(**change).save_pretrained(tmp_path / "theirs")
    read = ours.from_pretrained(tmp_path / "theirs")
    assert plain(read) == plain(theirs(**change))
    read.save_pretrained(tmp_path / "ours")
    assert plain(theirs.from_pretrained(tmp_path / "ours")) == plain(read)


def test_the_rotary_base_survives_both_spellings(tmp_path: Path) -> None:
    for given in ({"rope_theta": 500.0}, {"rope_parameters": {"rope_type": "axial", "rope_theta": 500.0}}):
        config = sam3_hf.Sam3ViTConfig(**given)
        assert config.rope_theta == 500.0
        config.save_pretrained(tmp_path)
        assert plain(transformers.Sam3ViTConfig.from_pretrained(tmp_path))["rope_theta"] == 500.0


def test_other_rotary_embeddings_are_refused() -> None:
    with pytest.raises(ValueError, match="rope_type must be 'axial'"):
        sam3_hf.Sam3ViTConfig(rope_parameters={"rope_type": "yarn", "rope_theta": 1.0})


def test_parts_may_be_dictionaries_or_configurations_of_either_package() -> None:
    for part in (
        {"num_queries": 7},
        sam3_hf.Sam3DETRDecoderConfig(num_queries=7),
        transformers.Sam3DETRDecoderConfig(num_queries=7),
    ):
        config = sam3_hf.Sam3Config(detr_decoder_config=part)
        assert type(config.detr_decoder_config) is sam3_hf.Sam3DETRDecoderConfig
        assert config.detr_decoder_config.num_queries == 7


def test_image_size_reaches_the_backbone() -> None:
    config = sam3_hf.Sam3Config()
    assert config.image_size == 1008
    config.image_size = 560
    assert config.vision_config.backbone_config.image_size == 560


def test_the_released_layout_gives_its_detector() -> None:
    config = sam3_hf.Sam3Config.from_pretrained(golden.FOLDER)
    assert plain(config)["detr_encoder_config"] == plain(golden.tiny_config())["detr_encoder_config"]


def test_a_value_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(StrictDataclassError, match="hidden_size"):
        sam3_hf.Sam3ViTConfig(hidden_size="wide")


def test_the_attention_backend_reaches_every_part() -> None:
    config = sam3_hf.Sam3Config(attn_implementation="eager")
    parts = (config.text_config, config.mask_decoder_config, config.vision_config.backbone_config)
    assert {part._attn_implementation for part in parts} == {"eager"}


def test_norm_epsilons_of_detector_parts_change_nothing() -> None:
    # Published files say 1e-6 there; the released model was computed with 1e-5.
    config = golden.tiny_config()
    for part in ("geometry_encoder_config", "detr_encoder_config", "detr_decoder_config", "mask_decoder_config"):
        getattr(config, part).layer_norm_eps = 0.5
    model = sam3_hf.Sam3Model(config)
    for room in (
        model.geometry_encoder,
        model.detr_encoder,
        model.detr_decoder,
        model.mask_decoder,
        model.dot_product_scoring,
    ):
        assert {module.eps for module in room.modules() if hasattr(module, "eps")} == {1e-5}


def test_settings_of_training_survive_a_file_and_the_other_package(tmp_path: Path) -> None:
    vision = {"backbone_config": {"drop_path_rate": 0.1}}
    config = sam3_hf.Sam3Config(vision_config=vision, loss_config={"use_dac": False, "class_pos_weight": 5})
    config.save_pretrained(tmp_path)
    transformers.Sam3Config.from_pretrained(tmp_path).save_pretrained(tmp_path)
    read = sam3_hf.Sam3Config.from_pretrained(tmp_path)
    assert read.vision_config.backbone_config.drop_path_rate == 0.1
    assert type(read.loss_config) is sam3_hf.Sam3LossConfig
    assert (read.loss_config.use_dac, read.loss_config.class_pos_weight) == (False, 5)


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"mask_num_points": 0}, "must be 1 or more"), ({"mask_importance_ratio": 1.5}, "is a share, 0 to 1")],
)
def test_impossible_settings_of_the_loss_are_refused(setting: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sam3_hf.Sam3LossConfig(**setting)
