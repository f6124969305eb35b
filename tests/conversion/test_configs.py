import json

import pytest
import transformers
from tests.support.checkpoints import TINY, TINY_CONFIG

from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.conversion.configs import read_config
from sam3_hf.conversion.errors import ConversionError


def vit_eps(vision):
    return vision["backbone_config"]["layer_norm_eps"]


def written(path, values):
    path.write_text(json.dumps(values))
    return path


def differences(ours, theirs):
    """Fields of two nested dictionaries that differ, by dotted name, but for those of training, which only we have."""
    for name in (ours.keys() | theirs.keys()) - {"drop_path_rate", "loss_config"}:
        one, other = ours.get(name), theirs.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from (f"{name}.{inner}" for inner in differences(one, other))
        elif one != other:
            yield name


def test_released_configuration_is_the_documented_one_but_for_the_vit_norms(tmp_path):
    path = written(tmp_path / "config.json", read_config(None, "all"))
    ours = transformers.Sam3VideoConfig.from_json_file(path).to_dict()
    assert set(differences(ours, transformers.Sam3VideoConfig().to_dict())) == {
        "architectures",
        "detector_config.vision_config.backbone_config.layer_norm_eps",
        "tracker_config.vision_config.backbone_config.layer_norm_eps",
    }


def test_vit_norms_are_the_originals_whatever_the_file_says(tmp_path):
    values = json.loads(TINY_CONFIG.read_text())
    for part in ("detector_config", "tracker_config"):
        values[part]["vision_config"]["backbone_config"]["layer_norm_eps"] = 1e-6
    config = read_config(written(tmp_path / "config.json", values), "all")
    assert vit_eps(config["detector_config"]["vision_config"]) == 1e-5
    assert vit_eps(config["tracker_config"]["vision_config"]) == 1e-5


def test_given_values_survive():
    config, given = read_config(TINY_CONFIG, "all"), json.loads(TINY_CONFIG.read_text())
    assert {name.split(".")[-1] for name in differences(config, given)} <= {"rope_theta", "rope_parameters"}


def test_missing_values_are_the_released_ones(tmp_path):
    given = {"model_type": "sam3_video", "tracker_config": {"mask_decoder_config": {"mlp_dim": 64}}}
    config = read_config(written(tmp_path / "config.json", given), "all")
    assert config["tracker_config"]["mask_decoder_config"]["mlp_dim"] == 64
    assert config["tracker_config"]["mask_decoder_config"]["hidden_size"] == 256
    assert config["detector_config"]["detr_decoder_config"]["num_queries"] == 200


def test_two_readings_do_not_share_values():
    read_config(None, "all")["tracker_config"]["prompt_encoder_config"]["hidden_size"] = 1
    assert read_config(None, "all")["tracker_config"]["prompt_encoder_config"]["hidden_size"] == 256


@pytest.mark.parametrize("name", ["config.json", "config_sam3.json"])
def test_detector_alone_takes_either_layout(name):
    config = read_config(TINY / name, "detector")
    assert config["model_type"] == "sam3"
    assert config["architectures"] == ["Sam3Model"]
    assert Sam3Config(**config).detr_decoder_config.num_queries == 20


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds no JSON object"),
        ('{"model_type": "clip"}', "model_type is 'clip'"),
        ('{"detector_config": {"vision_config": {"backbone_config": {"hidden_size": "wide"}}}}', "hidden_size"),
        ('{"detector_config": 3}', "does not describe"),
        ('{"tracker_config": 3}', "tracker_config"),
        ('{"tracker_config": {"vision_config": 3}}', "vision_config"),
        ('{"tracker_config": {"num_maskmem": "7"}}', "num_maskmem is '7'"),
    ],
)
def test_a_wrong_file_is_named_with_its_cause(tmp_path, content, said):
    path = tmp_path / "wrong.json"
    path.write_text(content)
    with pytest.raises(ConversionError, match=said) as caught:
        read_config(path, "all")
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConversionError, match=r"absent\.json"):
        read_config(tmp_path / "absent.json", "all")


def test_a_detector_configuration_is_not_enough_for_the_whole_model():
    with pytest.raises(ConversionError, match="part 'detector'"):
        read_config(TINY / "config_sam3.json", "all")
