import json

import pytest
import torch
from safetensors.torch import save_file
from tests.support import golden, multiplex_golden
from tests.support.checkpoints import TINY_CHECKPOINT, TINY_CONFIG, tiny_tensors
from tests.support.tolerances import MULTIPLEX, ORIGINAL

from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.modeling_sam3 import Sam3Model

NECK = "detector.backbone.vision_backbone.convs."
MASK_HEAD = "detector.segmentation_head."


@pytest.fixture(scope="module")
def multiplex() -> Sam3Model:
    return Sam3Model.from_original(multiplex_golden.CHECKPOINT, multiplex_golden.CONFIG)


def run(model, inputs):
    with torch.no_grad():
        return model(**inputs)


def is_tiny(model):
    return all(value.equal(golden.tiny_weights()[key]) for key, value in model.state_dict().items())


def changed(tmp_path, drop="", **tensors):
    """The tiny checkpoint without what begins with `drop`, and with other tensors."""
    kept = {name: tensor for name, tensor in tiny_tensors().items() if not drop or not name.startswith(drop)}
    torch.save(kept | tensors, tmp_path / "changed.pt")
    return tmp_path / "changed.pt"


@pytest.mark.parametrize("kind", ["pt", "nested", "safetensors"])
def test_an_original_file_gives_the_recorded_outputs(tmp_path, kind):
    path = {"pt": TINY_CHECKPOINT, "nested": tmp_path / "nested.pt", "safetensors": tmp_path / "a.safetensors"}[kind]
    if kind == "nested":
        torch.save({"model": tiny_tensors(), "epoch": 3}, path)
    elif kind == "safetensors":
        save_file({name: value.contiguous() for name, value in tiny_tensors().items() if not value.is_complex()}, path)
    model = Sam3Model.from_original(path, TINY_CONFIG)
    assert is_tiny(model)
    assert not model.training
    case = golden.case("text_box_pos_neg")
    outputs = run(model, case.inputs)
    for key, tolerance in ORIGINAL.items():
        expected = case.outputs["pred_boxes_xyxy" if key == "pred_boxes" else key]
        torch.testing.assert_close(getattr(outputs, key), expected, rtol=0, atol=tolerance, msg=key)


@pytest.mark.parametrize("case", multiplex_golden.FRAMES)
def test_the_detector_of_sam_3_1_gives_the_recorded_outputs(multiplex, case):
    outputs, expected = run(multiplex, multiplex_golden.inputs(case)), multiplex_golden.outputs(case)
    for key, tolerance in MULTIPLEX.items():
        torch.testing.assert_close(getattr(outputs, key), expected[key], rtol=0, atol=tolerance, msg=key)
    # SAM 3.1 itself returns logits that contain the presence.
    joint = outputs.pred_logits.sigmoid() * outputs.presence_logits.sigmoid()
    joint = (joint.clamp(min=1e-3) / (1 - joint).clamp(min=1e-3)).log().clamp(-10, 10)
    torch.testing.assert_close(joint, expected["joint"], rtol=0, atol=MULTIPLEX["pred_logits"])


def test_no_level_of_a_neck_of_three_is_lost(multiplex):
    inputs = multiplex_golden.inputs("text_only")
    whole = run(multiplex, inputs)
    assert len(multiplex.vision_encoder.neck.fpn_layers) == 3
    for level in range(3):
        bias = multiplex.vision_encoder.neck.fpn_layers[level].proj2.bias
        with torch.no_grad():
            before = bias.clone()
            bias += torch.linspace(-1, 1, len(bias))
            off = (run(multiplex, inputs).pred_masks - whole.pred_masks).abs().max()
            bias.copy_(before)
        assert off > 0.1, f"level {level} does not reach the masks"


def test_dropping_the_last_of_three_levels_would_be_seen(multiplex):
    inputs, expected = multiplex_golden.inputs("text_only"), multiplex_golden.outputs("text_only")
    vision = multiplex.get_vision_features(inputs.pop("pixel_values"))
    assert [tuple(level.shape[-2:]) for level in vision.fpn_hidden_states] == [(48, 48), (24, 24), (12, 12)]
    torch.testing.assert_close(
        run(multiplex, inputs | {"vision_embeds": vision}).pred_masks,
        expected["pred_masks"],
        rtol=0,
        atol=MULTIPLEX["pred_masks"],
    )


def test_four_scale_factors_for_three_levels_are_an_error_that_says_so(tmp_path):
    config = json.loads(multiplex_golden.CONFIG.read_text())["detector_config"]
    config["vision_config"]["scale_factors"] = [4.0, 2.0, 1.0, 0.5]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConversionError, match=rf"4 missing: {NECK}3.*\n.*\[4\.0, 2\.0, 1\.0\] is SAM 3\.1"):
        Sam3Model.from_original(multiplex_golden.CHECKPOINT, tmp_path / "config.json")


def test_the_number_of_levels_need_not_be_said(tmp_path):
    config = json.loads(multiplex_golden.CONFIG.read_text())["detector_config"]
    del config["vision_config"]["scale_factors"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = Sam3Model.from_original(multiplex_golden.CHECKPOINT, tmp_path / "config.json")
    assert model.config.vision_config.scale_factors == [4.0, 2.0, 1.0]


def test_a_configuration_object_will_do():
    config = Sam3Config.from_dict(json.loads((golden.FOLDER / "config_sam3.json").read_text()))
    config.vision_config.backbone_config.layer_norm_eps = 1e-6
    model = Sam3Model.from_original(TINY_CHECKPOINT, config)
    assert is_tiny(model)
    assert model.config.vision_config.backbone_config.layer_norm_eps == 1e-5


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float16])
def test_dtype_is_as_asked(dtype):
    model = Sam3Model.from_original(TINY_CHECKPOINT, TINY_CONFIG, dtype=dtype)
    assert str(model.dtype).endswith(str(dtype).removeprefix("torch."))
    assert {value.dtype for value in model.state_dict().values()} == {model.dtype}


@pytest.mark.parametrize("dtype", [None, "auto"])
def test_half_precision_stays_half_precision(tmp_path, dtype):
    half = {name: tensor if tensor.is_complex() else tensor.half() for name, tensor in tiny_tensors().items()}
    torch.save(half, tmp_path / "half.pt")
    model = Sam3Model.from_original(tmp_path / "half.pt", TINY_CONFIG, dtype=dtype)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float16}


def test_placement_and_backend_are_those_of_from_pretrained():
    model = Sam3Model.from_original(TINY_CHECKPOINT, TINY_CONFIG, device_map="cpu", attn_implementation="eager")
    assert is_tiny(model)
    assert model.config._attn_implementation == "eager"


def test_the_model_does_not_hang_on_the_file_and_can_be_saved(tmp_path):
    (tmp_path / "a.pt").write_bytes(TINY_CHECKPOINT.read_bytes())
    model = Sam3Model.from_original(tmp_path / "a.pt", TINY_CONFIG)
    (tmp_path / "a.pt").write_bytes(bytes(1000))
    model.save_pretrained(tmp_path / "saved")
    assert is_tiny(Sam3Model.from_pretrained(tmp_path / "saved"))


def test_a_checkpoint_without_masks_loads_when_asked_for_by_name(tmp_path, caplog):
    path = changed(tmp_path, drop=MASK_HEAD)
    with pytest.raises(
        ConversionError, match=r"(?s)missing: detector\.segmentation_head.*allow_missing='mask_decoder'"
    ):
        Sam3Model.from_original(path, TINY_CONFIG)
    model, info = Sam3Model.from_original(path, TINY_CONFIG, allow_missing="mask_decoder", output_loading_info=True)
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"mask_decoder"}
    assert f"{path} holds no mask_decoder: its 32 tensors have random initial values" in caplog.text
    assert all(v.equal(golden.tiny_weights()[k]) for k, v in model.state_dict().items() if "mask_decoder" not in k)


def test_half_a_mask_head_is_an_error_even_so(tmp_path):
    path = changed(tmp_path, drop=MASK_HEAD + "pixel_decoder.")
    with pytest.raises(ConversionError, match=r"12 missing: detector\.segmentation_head\.pixel_decoder"):
        Sam3Model.from_original(path, TINY_CONFIG, allow_missing="mask_decoder")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_an_error(tmp_path, value):
    name = "detector.geometry_encoder.final_proj.weight"
    broken = tiny_tensors()[name].clone()
    broken[3, 4] = value
    path = changed(tmp_path, **{name: broken})
    with pytest.raises(ValueError, match=r"changed\.pt holds NaN or infinity .*geometry_encoder\.final_proj\.weight"):
        Sam3Model.from_original(path, TINY_CONFIG)


def test_an_unknown_tensor_is_an_error(tmp_path):
    with pytest.raises(ConversionError, match=r"1 unknown: detector\.adapter"):
        Sam3Model.from_original(changed(tmp_path, **{"detector.adapter": torch.ones(1)}), TINY_CONFIG)


def test_a_model_of_another_size_is_an_error():
    with pytest.raises(ConversionError, match=r"(?s)of another shape.*pass its configuration"):
        Sam3Model.from_original(TINY_CHECKPOINT)
