from typing import Any

import pytest
import torch
from tests.support import golden
from tests.support.processors import needs_bfloat16
from tests.support.roads import watch
from tests.support.tolerances import ORIGINAL
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sam3_hf.configuration_sam3 import Sam3DETREncoderConfig
from sam3_hf.layers import attention as attention_module
from sam3_hf.layers.attention import Attention, padding_mask
from sam3_hf.ops.rotary import rotary_table
from sam3_hf.ops.tiled_attention import GridBias


def attention(backend: str) -> Attention:
    torch.manual_seed(1)
    return Attention(Sam3DETREncoderConfig(hidden_size=32, num_attention_heads=4, attn_implementation=backend)).eval()


def both(**inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    eager, sdpa = (attention(backend)(**inputs) for backend in ("eager", "sdpa"))
    assert sdpa.weights is None
    torch.testing.assert_close(eager.weights.sum(-1), torch.ones(eager.weights.shape[:-1]))
    return eager.output, sdpa.output


def test_backends_agree_with_padding_bias_and_rotary_positions() -> None:
    query, other = torch.randn(2, 9, 32), torch.randn(2, 5, 32)
    valid = torch.tensor([[True] * 5, [True, True, False, False, True]])
    torch.testing.assert_close(*both(query=query, key=other, value=other, mask=padding_mask(valid)))
    torch.testing.assert_close(*both(query=query, key=other, value=other, mask=torch.randn(2, 4, 9, 5)))
    table = rotary_table(3, 3, 8, 100.0, query)
    torch.testing.assert_close(*both(query=query, key=query, value=query, rotary=table))


def test_padding_is_not_seen() -> None:
    query, other = torch.randn(1, 3, 32), torch.randn(1, 4, 32)
    valid = torch.tensor([[True, True, False, False]])
    for backend in ("eager", "sdpa"):
        attend = attention(backend)
        masked = attend(query, other, other, padding_mask(valid)).output
        torch.testing.assert_close(masked, attend(query, other[:, :2], other[:, :2]).output)


def test_dropout_acts_in_training_alone() -> None:
    attend = Attention(Sam3DETREncoderConfig(hidden_size=32, num_attention_heads=4, attn_implementation="eager"), 0.5)
    tokens = torch.randn(1, 6, 32)
    assert not attend.train()(tokens, tokens, tokens).output.equal(attend(tokens, tokens, tokens).output)
    assert attend.eval()(tokens, tokens, tokens).output.equal(attend(tokens, tokens, tokens).output)


class TestBackendsThatTakeNoMask:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, bool]]:
        """Stands in for a flash kernel, which no CPU has: refuses masks, notes what it was asked."""
        calls: list[tuple[bool, bool]] = []

        def kernel(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any) -> Any:
            assert attention_mask is None
            calls.append((options["is_causal"], query.shape == key.shape))
            return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, None, **options)

        monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "test_flash", kernel)
        return calls

    def test_only_calls_with_a_mask_leave_the_backend(self, calls: list[tuple[bool, bool]]) -> None:
        model = golden.tiny_model()
        model.config._attn_implementation = "test_flash"
        case = golden.case("text_box_pos_neg")
        with torch.no_grad():
            outputs = model(**case.inputs)
        for key in ("pred_logits", "pred_masks"):
            torch.testing.assert_close(getattr(outputs, key), case.outputs[key], rtol=0, atol=ORIGINAL[key])
        vision, text, image_to_boxes, encoder, decoder = 4, 3, 2, 2, 3
        assert len(calls) == vision + text + image_to_boxes + encoder + decoder
        assert sum(causal for causal, _ in calls) == text


def test_flex_attention_agrees_on_the_whole_model() -> None:
    model = golden.tiny_model()
    model.set_attn_implementation("flex_attention")
    case = golden.case("text_box_pos_neg")
    try:
        with torch.no_grad():
            outputs = model(**case.inputs)
    except ValueError as error:
        if "power of 2 embedding" not in str(error):
            raise
        pytest.skip("this torch has flex attention for widths that are powers of 2 only; the tiny model's is 12")
    for key in ("pred_logits", "pred_masks", "presence_logits"):
        torch.testing.assert_close(getattr(outputs, key), case.outputs[key], rtol=0, atol=ORIGINAL[key])


class TestDefaultBackend:
    @pytest.fixture
    def tiled(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
        """The shapes of the queries that were attended to in tiles."""
        shapes: list[tuple[int, ...]] = []
        whole = attention_module.tiled_attention

        def noting(query: torch.Tensor, *rest: Any) -> torch.Tensor:
            shapes.append(tuple(query.shape))
            return whole(query, *rest)

        monkeypatch.setattr(attention_module, "tiled_attention", noting)
        return shapes

    def test_it_is_what_a_model_has_that_was_not_asked_for_another(self) -> None:
        model = golden.tiny_model()
        parts = [model.config, model.config.detr_encoder_config, model.config.vision_config.backbone_config]
        assert {part._attn_implementation for part in parts} == {"tiled"}
        model.set_attn_implementation("sdpa")
        assert {part._attn_implementation for part in parts} == {"sdpa"}

    @pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
    def test_long_sequences_run_in_tiles_unless_sdpa_is_asked_for(self, tiled: list[tuple[int, ...]]) -> None:
        tokens = torch.randn(2, 200, 32)
        with torch.no_grad():
            outputs = [attention(backend)(tokens, tokens, tokens).output for backend in ("tiled", "sdpa", "eager")]
        assert tiled == [(2, 4, 200, 8)]
        for output in outputs[1:]:
            torch.testing.assert_close(outputs[0], output)

    def test_training_and_short_sequences_run_on_sdpa(self, tiled: list[tuple[int, ...]]) -> None:
        tokens = torch.randn(1, 200, 32, requires_grad=True)
        attention("tiled")(tokens, tokens, tokens).output.sum().backward()
        assert tokens.grad is not None
        with torch.no_grad():
            attention("tiled")(tokens[:, :9], tokens, tokens)
        assert tiled == []

    def test_a_bias_of_rows_and_columns_reaches_every_backend(self) -> None:
        query, other = torch.randn(2, 9, 32), torch.randn(2, 12, 32)
        bias = GridBias(torch.randn(2, 4, 9, 3), torch.randn(2, 4, 9, 4))
        outputs = [attention(backend)(query, other, other, bias).output for backend in ("tiled", "sdpa", "eager")]
        expected = attention("eager")(query, other, other, bias.dense()).output
        for output in outputs:
            torch.testing.assert_close(output, expected)


@needs_bfloat16
class TestScalingThatIsNoPowerOfTwo:
    @pytest.fixture
    def roads(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Where softmax was taken, tile by tile."""
        return watch(monkeypatch)

    @torch.no_grad()
    def test_the_product_of_the_queries_takes_what_is_too_much(self, roads: list[str]) -> None:
        tokens = 2 * torch.randn(2, 300, 32).bfloat16()
        exact = attention("sdpa").double()(*[tokens.double()] * 3).output
        ours, sdpa = (attention(backend).bfloat16()(tokens, tokens, tokens).output for backend in ("tiled", "sdpa"))
        assert roads == ["product"] * 8
        assert (ours - exact).abs().mean() <= 1.05 * (sdpa - exact).abs().mean()
        assert (ours - exact).abs().max() <= 1.25 * (sdpa - exact).abs().max()

    @torch.no_grad()
    def test_it_does_not_where_another_layer_or_a_mask_is(self, roads: list[str]) -> None:
        layer, tokens = attention("tiled").bfloat16(), torch.randn(1, 300, 32).bfloat16()
        heard = []
        handle = layer.q_proj.register_forward_hook(lambda module, inputs, output: heard.append(output))
        expected = attention("sdpa").bfloat16()(tokens, tokens, tokens).output
        outputs = [layer(tokens, tokens, tokens).output]
        handle.remove()
        layer.q_proj = torch.nn.Sequential(layer.q_proj)
        outputs.append(layer(tokens, tokens, tokens).output)
        everything = torch.ones(1, 1, 300, 300, dtype=torch.bool)
        outputs.append(attention("tiled").bfloat16()(tokens, tokens, tokens, everything).output)
        assert set(roads) == {"float32"}
        assert len(heard) == 1
        for output in outputs:
            torch.testing.assert_close(output, expected, rtol=2**-6, atol=2**-6)


def test_one_row_of_queries_or_keys_serves_all() -> None:
    one, rows = torch.randn(1, 5, 32), torch.randn(3, 7, 32)
    attend = attention("sdpa")
    torch.testing.assert_close(attend(one, rows, rows).output, attend(one.expand(3, -1, -1), rows, rows).output)
    torch.testing.assert_close(attend(rows, one, one).output, attend(rows, *[one.expand(3, -1, -1)] * 2).output)


@pytest.mark.parametrize("mask", [None, torch.tensor([True, True, False])[None, None, None], torch.randn(1, 1, 5, 3)])
def test_a_cpu_learns_half_precision_attention_in_float32(mask: torch.Tensor | None) -> None:
    layer = attention("tiled").train()
    query, other = torch.randn(2, 5, 32), torch.randn(2, 3, 32)
    exact = layer(query, other, other, mask=mask).output
    exact.sum().backward()
    wanted = layer.q_proj.weight.grad.clone()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        close = layer(query, other, other, mask=mask).output
    assert close.dtype == torch.bfloat16
    close.float().sum().backward()
    torch.testing.assert_close(close.float(), exact, atol=0.03, rtol=0.03)
    torch.testing.assert_close(layer.q_proj.weight.grad, wanted, atol=0.03, rtol=0.1)


def test_attention_that_learns_never_runs_in_half_precision_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def watched(query: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        seen.append(attend(query, *arguments, **options).dtype)
        return attend(query, *arguments, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    layer, tokens = attention("tiled").bfloat16(), torch.randn(1, 4, 32, dtype=torch.bfloat16)
    layer(tokens, tokens, tokens)
    with torch.autocast("cpu", torch.bfloat16):
        layer(tokens, tokens, tokens)
    with torch.no_grad():
        layer(tokens, tokens, tokens)
    assert seen == [torch.float32, torch.float32, torch.bfloat16]
