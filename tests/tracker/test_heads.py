import pytest
import torch

from sam3_hf.tracker.heads import Mlp


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_a_head_is_as_deep_as_it_says(depth: int) -> None:
    head = Mlp(4, 6, 2, depth)
    assert sum(isinstance(layer, torch.nn.Linear) for layer in head.modules()) == depth
    assert head(torch.randn(3, 7, 4)).shape == (3, 7, 2)


def test_the_last_layer_is_not_bent() -> None:
    head = Mlp(4, 6, 1)
    with torch.no_grad():
        head.proj_out.bias.fill_(-100)
    assert (head(torch.randn(5, 4)) < 0).all()
