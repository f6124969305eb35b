"""Tokens that lie window by window give the numbers of tokens that lie row by row."""

import pytest
import torch

from sam3_hf import Sam3ViTConfig, Sam3ViTModel
from sam3_hf.ops.windows import Windows
from sam3_hf.vision import backbone


@pytest.fixture
def vit() -> Sam3ViTModel:
    torch.manual_seed(0)
    config = Sam3ViTConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=168,
        pretrain_image_size=84,
        window_size=6,
        global_attn_indexes=[1, 3],
    )
    model = Sam3ViTModel(config).eval()
    torch.nn.init.normal_(model.embeddings.position_embeddings)
    return model


@pytest.mark.parametrize("batch", [1, 2])
def test_the_order_of_tokens_changes_no_number(vit: Sam3ViTModel, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.randn(batch, 3, 168, 168)
    in_rows = vit(pixels).last_hidden_state
    arranged = []
    arrange = Windows.arrange
    monkeypatch.setattr(Windows, "arrange", lambda self, rows: arranged.append(self.in_order) or arrange(self, rows))
    monkeypatch.setattr(backbone, "_MANY", 0)
    for run in (torch.enable_grad, torch.inference_mode):
        with run():
            torch.testing.assert_close(vit(pixels).last_hidden_state, in_rows, atol=1e-5, rtol=0)
    assert all(arranged)
    recorded = vit(pixels, output_hidden_states=True)
    assert not any(arranged[-3:])
    torch.testing.assert_close(recorded.hidden_states[-1], in_rows, atol=1e-5, rtol=0)


def test_gradients_are_those_of_tokens_in_rows(vit: Sam3ViTModel, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.randn(1, 3, 168, 168)
    gradients = []
    for many in (1024, 0):
        monkeypatch.setattr(backbone, "_MANY", many)
        vit.zero_grad()
        vit(pixels).last_hidden_state.square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in vit.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_grid_that_windows_do_not_divide_stays_in_rows(vit: Sam3ViTModel, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.randn(1, 3, 140, 140)
    in_rows = vit(pixels).last_hidden_state
    monkeypatch.setattr(backbone, "_MANY", 0)
    assert vit(pixels).last_hidden_state.equal(in_rows)
