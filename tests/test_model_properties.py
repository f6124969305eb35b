"""What every Transformers model can do: train, checkpoint gradients, compile, export, run in half precision."""

import subprocess
import sys

import pytest
import torch

from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.vision import backbone, neck
from tests.support import golden
from tests.support.graphs import whole_graphs
from tests.support.tolerances import SAME_MODEL

# Loaded because checkpoints have them, without influence on any output.
INERT = (
    "text_encoder.text_projection.",
    "vision_encoder.neck.fpn_layers.3.",
    "mask_decoder.pixel_decoder.conv_layers.2.",
    "mask_decoder.pixel_decoder.norms.2.",
)


def loss_of(outputs) -> torch.Tensor:
    terms = (outputs.pred_logits, outputs.pred_boxes, outputs.pred_masks, outputs.presence_logits, outputs.semantic_seg)
    return sum(term.float().square().mean() for term in terms)


def gradients(model: Sam3Model, checkpointing: bool) -> dict[str, torch.Tensor | None]:
    if checkpointing:
        # The old name warns in the newest transformers, the new one is absent from the oldest.
        getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    torch.manual_seed(0)
    loss_of(model(**golden.case("batch_ragged_boxes").inputs)).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def test_every_parameter_that_can_matter_gets_a_gradient() -> None:
    for name, gradient in gradients(golden.tiny_model().train(), checkpointing=False).items():
        assert (gradient is None) == name.startswith(INERT), name
        if gradient is not None and not name.endswith("k_proj.bias"):  # cancels in the softmax
            assert gradient.isfinite().all(), name
            assert gradient.any(), name


def test_gradient_checkpointing_changes_no_gradient() -> None:
    plain, checkpointed = (gradients(golden.tiny_model().train(), flag) for flag in (False, True))
    for name, gradient in plain.items():
        if gradient is not None:
            torch.testing.assert_close(checkpointed[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_training_mode_drops_out_and_evaluation_does_not() -> None:
    inputs = golden.case("text_only").inputs
    model = golden.tiny_model().train()
    assert not model(**inputs).pred_logits.equal(model(**inputs).pred_logits)
    model.eval()
    assert model(**inputs).pred_logits.equal(model(**inputs).pred_logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", ["eager", "sdpa"])
def test_half_precision_takes_the_processors_float32(dtype: torch.dtype, backend: str) -> None:
    model = golden.tiny_model().to(dtype)
    model.set_attn_implementation(backend)
    case = golden.case("batch_ragged_boxes")
    with torch.no_grad():
        outputs = model(**case.inputs)
    assert outputs.pred_masks.dtype == dtype
    assert outputs.pred_boxes.dtype == torch.float32
    assert (outputs.pred_boxes - case.outputs["pred_boxes_xyxy"]).abs().mean() < 0.02
    both = torch.stack([outputs.pred_masks.float().flatten(), case.outputs["pred_masks"].flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.98


def test_features_in_full_precision_serve_a_half_precision_model() -> None:
    case = golden.case("text_only")
    text = golden.tiny_model().get_text_features(case.inputs["input_ids"]).pooler_output
    model = golden.tiny_model().bfloat16()
    outputs = model(
        pixel_values=case.inputs["pixel_values"][:1], text_embeds=text, attention_mask=case.inputs["attention_mask"]
    )
    assert outputs.pred_logits.isfinite().all()


def test_autocast_runs() -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        outputs = golden.tiny_model()(**golden.case("text_box_pos_neg").inputs)
    assert outputs.pred_boxes.dtype == torch.float32


SCRIPT = """
import sys, torch
from tests.support import golden
case = golden.case("text_box_pos_neg")
inputs = {key: value for key, value in case.inputs.items() if key != "image_index"}
inputs["pixel_values"] = inputs["pixel_values"][:1]
model = golden.tiny_model()
with torch.no_grad():
    if sys.argv[1] == "export":
        outputs = torch.export.export(model, (), inputs, strict=sys.argv[2] == "strict").module()(**inputs)
    else:
        outputs = torch.compile(model, fullgraph=True, backend=sys.argv[2])(**inputs)
for key in ("pred_logits", "pred_masks"):
    torch.testing.assert_close(getattr(outputs, key), case.outputs[key], rtol=0, atol=4e-4)
"""


@whole_graphs
@pytest.mark.parametrize(
    "way",
    [
        ("compile", "eager"),
        pytest.param(("compile", "inductor"), marks=pytest.mark.slow),
        ("export", "strict"),
        ("export", "loose"),
    ],
    ids="-".join,
)
def test_the_whole_graph_is_captured(way: tuple[str, str]) -> None:
    # In a process of its own, because shape checks of the tests cannot be captured.
    subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT, *way], check=True, timeout=500)


def test_two_calls_share_nothing(tiny: Sam3Model) -> None:
    first = golden.case("text_box_pos_neg").inputs
    with torch.no_grad():
        expected = tiny(**first)
        tiny(**golden.case("batch_text").inputs)
        torch.testing.assert_close(tiny(**first).pred_logits, expected.pred_logits, **SAME_MODEL)


def test_large_images_of_a_batch_are_encoded_one_by_one(tiny: Sam3Model, monkeypatch: pytest.MonkeyPatch) -> None:
    (picture, *_) = golden.case("text_only").inputs["pixel_values"]
    pixels = torch.stack([picture, picture / 2, -picture])
    seen: list[int] = []
    handle = tiny.vision_encoder.backbone.embeddings.register_forward_hook(
        lambda module, inputs, output: seen.append(len(inputs[0]))
    )
    with torch.no_grad():
        together = tiny.get_vision_features(pixels)
        monkeypatch.setattr(backbone, "_LARGE", 0)
        monkeypatch.setattr(neck, "_LARGE", 0)
        apart, recorded = tiny.get_vision_features(pixels), tiny.get_vision_features(pixels, output_hidden_states=True)
    handle.remove()
    assert seen == [3, 1, 1, 1, 3]
    torch.testing.assert_close(apart.last_hidden_state, together.last_hidden_state, **SAME_MODEL)
    for one, other in zip(apart.fpn_hidden_states, together.fpn_hidden_states, strict=True):
        torch.testing.assert_close(one, other, **SAME_MODEL)
    assert all(len(state) == 3 for state in recorded.hidden_states)
