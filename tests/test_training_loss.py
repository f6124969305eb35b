"""Training `Sam3Model` on labels."""

import subprocess
import sys

import pytest
import torch

from sam3_hf.modeling_sam3 import Sam3Model
from tests.support import golden
from tests.support.labels import BATCHES, BOXES, NONE, masks
from tests.support.tolerances import SAME_MODEL

# Loaded because checkpoints have them, without influence on any output.
INERT = (
    "text_encoder.text_projection.",
    "vision_encoder.neck.fpn_layers.3.",
    "mask_decoder.pixel_decoder.conv_layers.2.",
    "mask_decoder.pixel_decoder.norms.2.",
)
TERMS = {"loss_bbox", "loss_giou", "loss_ce", "presence_loss"}
MASK_TERMS = {"loss_mask", "loss_dice", "loss_semantic_seg", "loss_semantic_dice"}


def inputs() -> dict[str, torch.Tensor]:
    return golden.case("batch_text").inputs


def without_dropout(model: Sam3Model) -> Sam3Model:
    """The model, training, but with nothing left to chance."""
    model.train()
    for module in model.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def gradients(model: Sam3Model, labels: list) -> dict[str, torch.Tensor | None]:
    model.zero_grad()
    torch.manual_seed(0)
    model(**inputs(), labels=labels).loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("kind", BATCHES)
def test_every_kind_of_batch_trains_and_reaches_every_weight(kind: str) -> None:
    model = golden.tiny_model().train()
    for name, gradient in gradients(model, BATCHES[kind]).items():
        assert (gradient is None) == name.startswith(INERT), name
        assert gradient is None or gradient.isfinite().all(), name


@pytest.mark.parametrize("kind", ["boxes and masks", "boxes alone", "negatives alone"])
def test_steps_lower_the_loss(kind: str) -> None:
    model = without_dropout(golden.tiny_model())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    losses = []
    for _ in range(3):
        losses.append(model(**inputs(), labels=BATCHES[kind]).loss)
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.97 * losses[0]


def test_what_each_kind_of_batch_trains() -> None:
    model = golden.tiny_model().train()
    trained = {
        kind: {
            name.split(".")[0]
            for name, gradient in gradients(model, labels).items()
            if gradient is not None and gradient.any()
        }
        for kind, labels in BATCHES.items()
        if kind not in ("masks alone", "negatives with masks", "semantic")
    }
    everything = {name.split(".")[0] for name, _ in model.named_parameters()}
    assert trained["boxes and masks"] == trained["mixed"] == everything
    assert trained["boxes alone"] == everything - {"mask_decoder"}
    assert trained["negatives alone"] == everything - {"mask_decoder", "dot_product_scoring"}


def test_the_output_tells_the_loss_its_terms_and_the_layers_before_the_last() -> None:
    model = golden.tiny_model().train()
    outputs = model(**inputs(), labels=BATCHES["boxes and masks"])
    assert next(iter(outputs.keys())) == "loss"
    suffixes = ("", "_o2m", "_aux_0", "_aux_0_o2m", "_aux_1", "_aux_1_o2m")
    expected = {
        term + suffix for term in TERMS for suffix in suffixes if not (term == "presence_loss" and "o2m" in suffix)
    }
    assert outputs.loss_dict.keys() == expected | MASK_TERMS | {"loss_mask_o2m", "loss_dice_o2m"}
    assert not any(term.requires_grad for term in outputs.loss_dict.values())
    before, queries = outputs.auxiliary_outputs, model.config.detr_decoder_config.num_queries
    assert [layer["pred_boxes"].shape for layer in before] == [(2, queries, 4)] * 2
    assert [layer["pred_logits"].shape for layer in before] == [(2, queries)] * 2
    assert [layer["presence_logits"].shape for layer in before] == [(2, 1)] * 2


def test_in_evaluation_the_second_set_of_queries_does_not_exist(tiny: Sam3Model) -> None:
    with torch.no_grad():
        plain = tiny(**inputs())
        outputs = tiny(**inputs(), labels=BATCHES["boxes alone"])
    assert outputs.loss_dict.keys() == {term + s for term in TERMS for s in ("", "_aux_0", "_aux_1")} | MASK_TERMS
    for name, value in plain.items():
        torch.testing.assert_close(getattr(outputs, name), value, **SAME_MODEL, msg=name)
    assert plain.loss is plain.loss_dict is plain.auxiliary_outputs is None


@pytest.mark.parametrize("kind", ["boxes and masks", "negatives alone"])
def test_the_second_set_of_queries_changes_nothing_about_the_first(kind: str, tiny: Sam3Model) -> None:
    model = without_dropout(golden.tiny_model())
    trained = model(**inputs(), labels=BATCHES[kind], output_hidden_states=True)
    with torch.no_grad():
        plain = tiny(**inputs(), output_hidden_states=True)
    for name, value in plain.items():
        if name in trained:
            torch.testing.assert_close(trained[name], value, **SAME_MODEL, msg=name)
    assert (trained.pred_masks is None) == (kind == "negatives alone")


def test_the_second_set_trains_the_same_weights() -> None:
    model = without_dropout(golden.tiny_model())
    both = gradients(model, BATCHES["boxes alone"])
    model.config.loss_config.use_dac = False
    first = gradients(model, BATCHES["boxes alone"])
    name = "detr_decoder.query_embed.weight"
    assert not torch.allclose(both[name], first[name])


def test_switched_off_layers_and_sets_leave_the_loss_of_the_last() -> None:
    model = without_dropout(golden.tiny_model())
    config = model.config.loss_config
    config.use_dac = config.auxiliary_loss = False
    outputs = model(**inputs(), labels=BATCHES["boxes alone"])
    assert outputs.loss_dict.keys() == TERMS | MASK_TERMS
    assert outputs.auxiliary_outputs is None
    weights = {"loss_bbox": 5, "loss_giou": 2, "loss_ce": 20, "presence_loss": 20}
    expected = 2**0.5 * sum(weight * outputs.loss_dict[name] for name, weight in weights.items())
    torch.testing.assert_close(outputs.loss.detach(), expected)


def test_masks_without_any_weight_cost_nothing() -> None:
    model = without_dropout(golden.tiny_model())
    for name in ("mask_loss_weight", "dice_loss_weight", "semantic_loss_weight", "semantic_dice_weight"):
        setattr(model.config.loss_config, name, 0)
    outputs = model(**inputs(), labels=BATCHES["boxes and masks"])
    assert outputs.pred_masks is None
    expected = model(**inputs(), labels=[{"boxes": label["boxes"]} for label in BATCHES["boxes and masks"]]).loss
    torch.testing.assert_close(outputs.loss, expected)


def test_boxes_taken_from_masks_are_those_of_the_labels() -> None:
    model = without_dropout(golden.tiny_model())
    alone = [{"masks": masks(100)}, NONE]
    given = [{"masks": masks(100), "boxes": BOXES}, NONE]
    torch.testing.assert_close(model(**inputs(), labels=alone).loss, model(**inputs(), labels=given).loss)


def test_many_prompts_may_share_an_image() -> None:
    model = without_dropout(golden.tiny_model())
    given = inputs()
    labels = [{"boxes": BOXES}, {"boxes": BOXES[:1]}]
    shared = given | {"pixel_values": given["pixel_values"][:1], "image_index": torch.tensor([0, 0])}
    repeated = given | {"pixel_values": given["pixel_values"][:1].repeat(2, 1, 1, 1), "image_index": None}
    torch.testing.assert_close(
        model(**shared, labels=labels).loss, model(**repeated, labels=labels).loss, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["boxes and masks", "boxes alone"])
def test_checkpointing_changes_no_gradient(kind: str) -> None:
    model = golden.tiny_model().train()
    plain = gradients(model, BATCHES[kind])
    # The old name warns in the newest transformers, the new one is absent from the oldest.
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    calls = {type(module).__name__ for module in model.modules() if getattr(module, "gradient_checkpointing", False)}
    assert {"ViTLayer", "TextLayer", "GeometryEncoderLayer", "DetrEncoderLayer", "DetrDecoderLayer"} <= calls
    for name, gradient in gradients(model, BATCHES[kind]).items():
        if gradient is not None:
            torch.testing.assert_close(gradient, plain[name], rtol=1e-3, atol=1e-5, msg=name)


def test_autocast_is_finite_and_close() -> None:
    model = without_dropout(golden.tiny_model())
    exact = model(**inputs(), labels=BATCHES["boxes and masks"]).loss
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(**inputs(), labels=BATCHES["boxes and masks"]).loss
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.05, atol=0)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_half_precision_weights_train_too() -> None:
    model = golden.tiny_model().bfloat16().train()
    loss = model(**inputs(), labels=BATCHES["boxes and masks"]).loss
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("part", ["detr_decoder.layers.2.mlp.fc2.bias", "mask_decoder.mask_embedder.layers.0.weight"])
def test_the_gradient_is_that_of_differences(part: str) -> None:
    model = without_dropout(golden.tiny_model())
    # The goal of the class term passes no gradient, nor do boxes from layer to layer: what is left is a slope.
    model.config.loss_config.class_loss_weight = 0
    model.config.loss_config.auxiliary_loss = False
    weight = model.get_parameter(part)
    model(**inputs(), labels=BATCHES["boxes and masks"]).loss.backward()
    slope, step = weight.grad.norm(), 2e-3
    direction, losses = weight.grad / slope, []
    for place in (1, -1):
        with torch.no_grad():
            weight += place * step * direction
            losses.append(model(**inputs(), labels=BATCHES["boxes and masks"]).loss.item())
            weight -= place * step * direction
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(slope.item(), rel=0.02)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([NONE], "2 rows, 1 dictionaries"), ([NONE, {"boxes": 100 * BOXES}], r"labels\[1\]\['boxes'\] must be centre x")],
)
def test_wrong_labels_are_refused_before_the_image_is_looked_at(labels: list, message: str, tiny: Sam3Model) -> None:
    watched = []
    handle = tiny.vision_encoder.register_forward_pre_hook(lambda *_: watched.append(True))
    with pytest.raises(ValueError, match=message):
        tiny(**inputs(), labels=labels)
    handle.remove()
    assert not watched


def test_drop_path_rises_from_block_to_block_and_trains_only() -> None:
    config = golden.tiny_config()
    config.vision_config.backbone_config.drop_path_rate = 0.3
    model = Sam3Model(config)
    model.load_state_dict(golden.tiny_weights())
    rates = [layer.drop_path.rate for layer in model.vision_encoder.backbone.layers]
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0.3)
    assert rates == sorted(rates)
    pixels = inputs()["pixel_values"]
    backbone = model.vision_encoder.backbone
    first, second = (backbone.train()(pixels).last_hidden_state for _ in range(2))
    assert not first.equal(second)
    assert backbone.eval()(pixels).last_hidden_state.equal(
        golden.tiny_model().vision_encoder.backbone(pixels).last_hidden_state
    )


SCRIPT = """
import os, sys, torch
from torch import distributed, multiprocessing
from tests.support import golden
from tests.support.labels import BATCHES
from sam3_hf.losses.detection import objects_per_process
from sam3_hf.losses.targets import Targets

def work(rank):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": sys.argv[1], "GLOO_SOCKET_IFNAME": "lo"}
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    kind = ("boxes and masks", "negatives alone")[rank]
    targets = Targets.of(BATCHES[kind], 2, torch.device("cpu"))
    assert objects_per_process(targets).item() == 1.5
    with torch.no_grad():
        assert objects_per_process(targets).item() == (3, 1)[rank]
    model = golden.tiny_model().train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(INERT))
    parallel = torch.nn.parallel.DistributedDataParallel(model)  # refuses weights without a gradient
    for _ in range(2):
        parallel(**golden.case("batch_text").inputs, labels=BATCHES[kind]).loss.backward()
    sums = torch.stack([p.grad.abs().sum() for p in model.parameters() if p.grad is not None])
    others = [torch.zeros_like(sums) for _ in range(2)]
    distributed.all_gather(others, sums)
    torch.testing.assert_close(others[0], others[1])
    distributed.destroy_process_group()

if __name__ == "__main__":
    multiprocessing.start_processes(work, nprocs=2, start_method="fork")
"""


@pytest.mark.slow
def test_two_processes_train_on_different_kinds_of_batches() -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    subprocess.run([sys.executable, "-W", "ignore", "-c", f"INERT = {INERT}\n{SCRIPT}", port], check=True, timeout=200)
