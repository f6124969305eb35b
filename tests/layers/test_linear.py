import pytest
import torch

from sam3_hf.layers.linear import Linear


def test_a_layer_without_memory_is_made_without_drawing_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.nn.init.kaiming_uniform_", lambda *args, **kwargs: pytest.fail("values were drawn"))
    assert Linear(3, 5, device="meta").weight.is_meta


def test_a_layer_with_memory_starts_as_any_of_pytorch() -> None:
    torch.manual_seed(0)
    ours = Linear(3, 5)
    torch.manual_seed(0)
    assert ours.weight.equal(torch.nn.Linear(3, 5).weight)
