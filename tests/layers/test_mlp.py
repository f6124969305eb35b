import pytest
import torch

from sam3_hf.configuration_sam3 import Sam3DETREncoderConfig
from sam3_hf.layers.mlp import FeedForward, Head


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
