import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.vision.backbone import Sam3ViTModel
from tests.support import concept_golden, golden, video_golden


@pytest.fixture
def folder(tmp_path: Path, tiny: Sam3Model) -> Path:
    tiny.save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """The same weights in the released layout: prefixes, a tracker beside the detector, a nested configuration."""
    weights = {f"detector_model.{key}": value.contiguous() for key, value in golden.tiny_weights().items()}
    for name in ("tracker_model.no_memory_embedding", "tracker_neck.fpn_layers.0.proj1.bias"):
        weights[name] = torch.zeros(32)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text((golden.FOLDER / "config.json").read_text())
    return tmp_path


def same_weights(model: Sam3Model) -> bool:
    expected = golden.tiny_weights()
    return all(value.equal(expected[key]) for key, value in model.state_dict().items())


def test_saving_and_loading_gives_the_same_model(folder: Path) -> None:
    model = Sam3Model.from_pretrained(folder)
    assert same_weights(model)
    assert not model.training
    assert json.loads((folder / "config.json").read_text())["model_type"] == "sam3"
    assert set(load_file(folder / "model.safetensors")) == set(golden.tiny_weights())


def test_the_released_layout_loads(released: Path) -> None:
    model = Sam3Model.from_pretrained(released)
    assert same_weights(model)
    assert model.config.vision_config.backbone_config.layer_norm_eps == 1e-5


def test_the_released_configuration_gives_its_detector(released: Path) -> None:
    config = Sam3Config.from_pretrained(released)
    assert config.model_type == "sam3"
    assert config.detr_decoder_config.num_queries == 20


@pytest.mark.parametrize("key", ["text_projection.weight", "mask_decoder.semantic_projection.bias"])
def test_a_missing_tensor_is_an_error_that_names_it(folder: Path, key: str) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[key]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=f"1 missing from the checkpoint: {key}"):
        Sam3Model.from_pretrained(folder)


def test_an_unknown_tensor_is_an_error_that_names_it(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors") | {"adapter.weight": torch.zeros(2)}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"1 unknown to the model: adapter\.weight"):
        Sam3Model.from_pretrained(folder)


def test_a_tensor_of_another_shape_is_an_error(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors") | {"text_projection.bias": torch.zeros(5)}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"1 of another shape: .*text_projection\.bias"):
        Sam3Model.from_pretrained(folder)
    with pytest.raises(ValueError, match=r"1 of another shape: .*text_projection\.bias"):
        Sam3Model.from_pretrained(folder, ignore_mismatched_sizes=True)


def test_a_part_cannot_be_left_at_random_weights(folder: Path) -> None:
    with pytest.raises(ValueError, match="missing from the checkpoint"):
        Sam3ViTModel.from_pretrained(folder, config=golden.tiny_config().vision_config.backbone_config)


def test_loading_info_is_given_on_request(folder: Path) -> None:
    _, info = Sam3Model.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dtype_is_kept(folder: Path, dtype: torch.dtype, tmp_path: Path) -> None:
    model = Sam3Model.from_pretrained(folder, dtype=dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    model.save_pretrained(tmp_path / "half")
    assert Sam3Model.from_pretrained(tmp_path / "half", dtype="auto").dtype == dtype


def test_sharded_weights_load(tmp_path: Path, tiny: Sam3Model) -> None:
    tiny.save_pretrained(tmp_path, max_shard_size="300KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 3
    assert same_weights(Sam3Model.from_pretrained(tmp_path))


def test_a_missing_shard_is_an_error(tmp_path: Path, tiny: Sam3Model) -> None:
    tiny.save_pretrained(tmp_path, max_shard_size="300KB")
    next(tmp_path.glob("model-00002-*.safetensors")).unlink()
    with pytest.raises((OSError, ValueError), match="model-00002"):
        Sam3Model.from_pretrained(tmp_path)


@pytest.mark.parametrize("options", [{"device_map": "auto"}, {"device_map": "cpu"}, {"low_cpu_mem_usage": True}])
def test_placement_by_accelerate_gives_the_same_weights(folder: Path, options: dict) -> None:
    model = Sam3Model.from_pretrained(folder, **options)
    assert same_weights(model)
    case = golden.case("text_only")
    with torch.no_grad():
        outputs = model(**case.inputs)
    torch.testing.assert_close(outputs.pred_logits, case.outputs["pred_logits"], rtol=0, atol=6e-5)


def test_a_model_split_by_offloading_runs(folder: Path, tmp_path: Path) -> None:
    parts = ["vision_encoder", "text_encoder", "text_projection", "geometry_encoder", "detr_encoder", "detr_decoder"]
    placement = dict.fromkeys([*parts, "mask_decoder", "dot_product_scoring"], "disk") | {"vision_encoder": "cpu"}
    model = Sam3Model.from_pretrained(folder, device_map=placement, offload_folder=tmp_path / "offload")
    case = golden.case("text_box_pos_neg")
    with torch.no_grad():
        outputs = model(**case.inputs)
    torch.testing.assert_close(outputs.pred_masks, case.outputs["pred_masks"], rtol=0, atol=4e-4)


def test_a_model_of_the_released_size_can_be_made_without_memory() -> None:
    with torch.device("meta"):
        model = Sam3Model(Sam3Config())
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_initial_weights_are_small_and_norms_are_one() -> None:
    model = Sam3Model(golden.tiny_config())
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            assert 0.01 < parameter.std() < 0.03 or parameter.numel() < 200, name
        elif "norm" in name:
            assert parameter.unique().item() == (1.0 if name.endswith("weight") else 0.0), name
        else:
            assert not parameter.any(), name


def test_a_layer_scale_is_refused() -> None:
    config = golden.tiny_config()
    config.vision_config.backbone_config.layer_scale_init_value = 0.1
    with pytest.raises(ValueError, match="layer_scale_init_value must be None"):
        Sam3Model(config)


@pytest.mark.parametrize("build", [golden.tiny_model, video_golden.tracker, concept_golden.tiny_model])
@torch.no_grad()
def test_initial_weights_reach_every_parameter(build) -> None:
    model = build()
    for module in model.modules():
        module._is_hf_initialized = False
    for parameter in model.parameters():
        parameter._is_hf_initialized = False
        parameter.fill_(torch.nan)
    model.initialize_weights()
    assert not [name for name, parameter in model.named_parameters() if parameter.isnan().any()]
