import pytest
import torch
from tests.support import golden
from torch import nn

from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.training.parameters import PRESETS, LearningRates, freeze, parameter_groups


@pytest.fixture(scope="module")
def model() -> Sam3Model:
    return golden.tiny_model()


def settings(model: nn.Module, rates: LearningRates | None = None) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of every parameter."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, rates)
    return {names[id(p)]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_every_parameter_is_in_one_group(model: Sam3Model) -> None:
    grouped = [parameter for group in parameter_groups(model) for parameter in group["params"]]
    assert len(grouped) == len(set(map(id, grouped))) == len(list(model.parameters()))
    torch.optim.AdamW(parameter_groups(model))


def test_rates_are_those_of_the_original(model: Sam3Model) -> None:
    rate = {name: values[0] for name, values in settings(model).items()}
    trunk = "vision_encoder.backbone."
    depth = model.config.vision_config.backbone_config.num_hidden_layers
    assert rate[f"{trunk}layers.{depth - 1}.mlp.fc1.weight"] == pytest.approx(2.5e-5 * 0.9)
    assert rate[f"{trunk}layers.0.mlp.fc1.weight"] == pytest.approx(2.5e-5 * 0.9**depth)
    for first in ("embeddings.patch_embeddings.projection.weight", "layer_norm.weight"):
        assert rate[f"{trunk}{first}"] == pytest.approx(2.5e-5 * 0.9 ** (depth + 1))
    assert rate[f"{trunk}embeddings.position_embeddings"] == 2.5e-5
    assert {value for name, value in rate.items() if ".neck." in name} == {2.5e-5}
    assert {value for name, value in rate.items() if name.startswith(("text_encoder", "text_projection"))} == {5e-6}
    rest = ("geometry_encoder", "detr_encoder", "detr_decoder", "dot_product_scoring", "mask_decoder")
    assert {value for name, value in rate.items() if name.startswith(rest)} == {8e-5}


def test_biases_and_layer_norms_do_not_decay(model: Sam3Model) -> None:
    decay = {name: values[1] for name, values in settings(model).items()}
    assert decay["detr_encoder.layers.0.mlp.fc1.bias"] == 0
    assert decay["detr_encoder.layers.0.layer_norm1.weight"] == 0
    assert decay["detr_encoder.layers.0.mlp.fc1.weight"] == 0.1
    assert decay["mask_decoder.pixel_decoder.norms.0.weight"] == 0.1  # a group norm


def test_rates_can_be_chosen(model: Sam3Model) -> None:
    rate = settings(model, LearningRates(detector=1.0, vision=2.0, text=3.0, layer_decay=1.0))
    assert {values[0] for values in rate.values()} == {1.0, 2.0, 3.0}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_lets_its_parts_learn_and_nothing_else(preset: str) -> None:
    model = golden.tiny_model()
    freeze(model, preset)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    parts = {
        "head": {"detr_decoder", "dot_product_scoring", "mask_decoder"},
        "detector": {"geometry_encoder", "detr_encoder", "detr_decoder", "dot_product_scoring", "mask_decoder"},
        "all": {name.partition(".")[0] for name in model.state_dict()},
    }
    assert {name.partition(".")[0] for name in learning} == parts[preset]
    assert ("detr_decoder.layers.0.mlp.fc1.weight" in learning) == (preset != "head")


def test_the_next_preset_undoes_the_one_before() -> None:
    model = golden.tiny_model()
    freeze(model, "head")
    freeze(model, "all")
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_an_unknown_preset_and_a_frozen_model_are_refused() -> None:
    model = golden.tiny_model()
    with pytest.raises(ValueError, match="presets are head, detector, all; got 'none'"):
        freeze(model, "none")
    with pytest.raises(ValueError, match="No parameter of this model learns"):
        parameter_groups(model.requires_grad_(False))
