import pytest
import torch

from sam3_hf.configuration_sam3 import Sam3DETREncoderConfig
from sam3_hf.layers import mlp
from sam3_hf.layers.mlp import FeedForward, Head
from sam3_hf.ops.products import linear_gelu


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu"])
def test_values_are_the_same_with_and_without_gradients(activation: str) -> None:
    layer = FeedForward(Sam3DETREncoderConfig(hidden_size=8, intermediate_size=16, hidden_act=activation), 0.0)
    tokens = torch.randn(3, 8)
    given = tokens.clone()
    with torch.no_grad():
        without = layer(tokens)
    torch.testing.assert_close(layer(tokens), without)
    assert tokens.equal(given)


def test_a_head_names_its_layers_and_bends_between_them() -> None:
    head = Head(4, 5, 6, 2)
    assert [name for name, _ in head.named_children()] == ["layer1", "layer2", "layer3"]
    tokens = torch.randn(3, 4)
    expected = head.layer3(head.layer2(head.layer1(tokens).relu()).relu())
    torch.testing.assert_close(head(tokens), expected)


def test_a_head_drops_out_in_training_alone() -> None:
    head, tokens = Head(4, 50, 2, dropout=0.5), torch.randn(3, 4)
    assert not head.train()(tokens).equal(head(tokens))
    assert head.eval()(tokens).equal(head(tokens))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize(
    "layer",
    [FeedForward(Sam3DETREncoderConfig(hidden_size=16, intermediate_size=64), 0.0).eval(), Head(16, 64, 3)],
    ids=["feed-forward", "head"],
)
def test_some_tokens_at_a_time_give_what_all_at_once_give(
    layer: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, widths = torch.randn(3, 10, 16), []
    first = next(layer.children())
    first.register_forward_pre_hook(lambda module, inputs: widths.append(inputs[0].shape[:-1].numel()))
    with torch.no_grad():
        whole = layer(tokens)
        monkeypatch.setattr(mlp, "_CACHED", 8 * 64 * 4)
        parts = layer(tokens)
    assert widths == [30, 8, 8, 8, 6]
    torch.testing.assert_close(parts, whole)


def test_widening_in_one_step_is_left_where_the_layer_is_more_than_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = FeedForward(Sam3DETREncoderConfig(hidden_size=8, intermediate_size=16, hidden_act="gelu"), 0.0).eval()
    tokens, calls = torch.randn(2, 5, 8), []

    def watched(*given: torch.Tensor) -> torch.Tensor:
        calls.append(len(given))
        return linear_gelu(*given)

    expected = layer(tokens)
    monkeypatch.setattr(mlp, "fuses_gelu", lambda *_: True)
    monkeypatch.setattr(mlp, "linear_gelu", watched)
    torch.testing.assert_close(layer(tokens), expected)
    assert calls == [3]
    heard = []
    layer.fc1.register_forward_hook(lambda *_: heard.append(1))
    torch.testing.assert_close(layer(tokens), expected)
    assert (calls, heard) == ([3], [1])
