from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sam3_hf.modeling_sam3 import Sam3Model
from tests.support import golden

BROKEN = "text_encoder.text_model.final_layer_norm.weight"


@pytest.fixture
def folder(tmp_path: Path, tiny: Sam3Model) -> Path:
    tiny.save_pretrained(tmp_path)
    return tmp_path


def change(folder: Path, *, drop: str = "", **tensors: torch.Tensor) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not drop or not name.startswith(drop)}
    save_file(kept | tensors, folder / "model.safetensors", {"format": "pt"})


def with_value(value: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    weight = golden.tiny_weights()[BROKEN].to(dtype, copy=True)
    weight[5] = value
    return weight


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_that_are_no_numbers_are_an_error_that_names_them(
    folder: Path, value: float, dtype: torch.dtype
) -> None:
    change(folder, **{BROKEN: with_value(value, dtype)})
    with pytest.raises(ValueError, match=rf"holds NaN or infinity in 1 tensors: {BROKEN}"):
        Sam3Model.from_pretrained(folder, dtype=dtype)


def test_so_are_weights_that_do_not_fit_into_the_type_that_was_asked_for(folder: Path) -> None:
    change(folder, **{BROKEN: with_value(1e6)})
    Sam3Model.from_pretrained(folder)
    with pytest.raises(ValueError, match="too large for its type"):
        Sam3Model.from_pretrained(folder, dtype=torch.float16)


def test_weights_that_stay_on_disk_are_looked_at_too(folder: Path, tmp_path: Path) -> None:
    parts = ["vision_encoder", "text_projection", "geometry_encoder", "detr_encoder", "detr_decoder", "mask_decoder"]
    placement = dict.fromkeys([*parts, "dot_product_scoring"], "cpu") | {"text_encoder": "disk"}
    options = {"device_map": placement, "offload_folder": tmp_path / "offload"}
    model = Sam3Model.from_pretrained(folder, **options)
    assert model.text_encoder.text_model.final_layer_norm.weight.is_meta
    change(folder, **{BROKEN: with_value(float("nan"))})
    with pytest.raises(ValueError, match=BROKEN):
        Sam3Model.from_pretrained(folder, **options)


@pytest.mark.parametrize("beginning", ["module.", "_orig_mod.", "base_model.model."])
def test_names_of_a_wrapped_model_are_recognised(folder: Path, beginning: str) -> None:
    weights = {beginning + name: tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="names of a wrapped model"):
        Sam3Model.from_pretrained(folder)


def test_names_of_the_original_are_recognised(folder: Path) -> None:
    change(folder, **{"detector.transformer.decoder.norm.bias": torch.ones(3)})
    with pytest.raises(ValueError, match="names of the original: load its file with from_original"):
        Sam3Model.from_pretrained(folder)


@pytest.mark.parametrize(("scales", "said"), [([4, 2, 1], "unknown"), ([4, 2, 1, 0.5, 0.5], "missing")])
def test_another_number_of_levels_is_recognised(folder: Path, scales: list, said: str) -> None:
    config = golden.tiny_config()
    config.vision_config.scale_factors = [float(scale) for scale in scales]
    with pytest.raises(ValueError, match=rf"(?s){said}.*another number of levels .* is SAM 3\.1"):
        Sam3Model.from_pretrained(folder, config=config)


def test_a_configuration_of_another_size_is_recognised(folder: Path) -> None:
    config = golden.tiny_config()
    config.detr_decoder_config.num_queries = 30
    with pytest.raises(ValueError, match=r"(?s)query_embed\.weight \[20, 32\] instead of \[30, 32\].*configuration"):
        Sam3Model.from_pretrained(folder, config=config)


class TestAllowedToBeMissing:
    def test_a_part_is_only_missing_when_named(self, folder: Path) -> None:
        change(folder, drop="mask_decoder.")
        with pytest.raises(ValueError, match=r"(?s)32 missing.*pass allow_missing='mask_decoder'"):
            Sam3Model.from_pretrained(folder)
        with pytest.raises(ValueError, match="32 missing"):
            Sam3Model.from_pretrained(folder, allow_missing="geometry_encoder")

    @pytest.mark.parametrize("named", ["mask_decoder", ("mask_decoder",), ["geometry_encoder", "mask_decoder"]])
    def test_it_is_said_and_gets_initial_weights(self, folder: Path, named: object, caplog) -> None:
        change(folder, drop="mask_decoder.")
        model, info = Sam3Model.from_pretrained(folder, allow_missing=named, output_loading_info=True)
        assert "holds no mask_decoder: its 32 tensors have random initial values" in caplog.text
        assert len(info["missing_keys"]) == 32
        for name, value in model.state_dict().items():
            if not name.startswith("mask_decoder."):
                assert value.equal(golden.tiny_weights()[name]), name
            elif value.dim() > 1:
                assert 0.01 < value.std() < 0.03 or value.numel() < 200, name
            else:
                assert value.unique().item() in (0.0, 1.0), name
        with torch.no_grad():
            outputs = model(**golden.case("text_only").inputs)
        torch.testing.assert_close(
            outputs.pred_logits, golden.case("text_only").outputs["pred_logits"], rtol=0, atol=6e-5
        )

    def test_nothing_is_said_when_it_is_there(self, folder: Path, caplog) -> None:
        Sam3Model.from_pretrained(folder, allow_missing="mask_decoder")
        assert "holds no" not in caplog.text

    def test_half_of_it_is_an_error(self, folder: Path) -> None:
        change(folder, drop="mask_decoder.pixel_decoder.")
        with pytest.raises(ValueError, match=r"holds only 20 of 32 tensors of mask_decoder.*incomplete"):
            Sam3Model.from_pretrained(folder, allow_missing="mask_decoder")
        Sam3Model.from_pretrained(folder, allow_missing="mask_decoder.pixel_decoder")

    def test_a_part_that_does_not_exist_is_an_error(self, folder: Path) -> None:
        with pytest.raises(ValueError, match=r"names 'mask_head'; the model has the parts vision_encoder, .*mask_dec"):
            Sam3Model.from_pretrained(folder, allow_missing="mask_head")
