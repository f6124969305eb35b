from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from tests.support.processors import needs_bfloat16

from sam3_hf.layers.linear import Linear
from sam3_hf.ops import products
from sam3_hf.ops.products import by_row, fuses_gelu, linear, linear_gelu, onednn_computes, paired, scaled_linear

ONEDNN = torch.backends.mkldnn.is_available()


def error(output: torch.Tensor, *factors: torch.Tensor) -> float:
    """Mean distance from the product in float64."""
    return (output.double() - F.linear(*(factor.double() for factor in factors))).abs().mean().item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_is_as_close_to_the_truth_as_pytorchs_own(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    inputs, weight, bias = torch.randn(3, 70, 96).to(dtype), torch.randn(130, 96).to(dtype), torch.randn(130).to(dtype)
    with torch.no_grad():
        assert onednn_computes(inputs, weight) or not ONEDNN or dtype == torch.bfloat16
        for factors in ((inputs, weight), (inputs, weight, bias), (inputs.transpose(0, 1), weight, bias)):
            ours, theirs = linear(*factors), F.linear(*factors)
            assert (ours.dtype, ours.shape) == (dtype, theirs.shape)
            assert error(ours, *factors) <= 2 * error(theirs, *factors)


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 6), (2, 1, 3, 6)])
def test_a_product_is_bent_in_one_step(shape: tuple[int, ...]) -> None:
    inputs, weight, bias = torch.randn(shape), torch.randn(5, 6), torch.randn(5)
    torch.testing.assert_close(linear_gelu(inputs, weight, bias), F.gelu(F.linear(inputs, weight, bias)))
    assert not fuses_gelu(inputs, weight)  # only a GPU does it itself


@needs_bfloat16
@pytest.mark.parametrize("shape", [(5, 6), (3, 70, 96)])
def test_a_scaled_product_is_rounded_once(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    factors = [torch.randn(*size).bfloat16() for size in (shape, (130, shape[-1]), (130,))]
    exact = F.linear(*(factor.double() for factor in factors)) * 2**0.5
    with torch.no_grad():
        ours = scaled_linear(*factors, 2**0.5)
    assert (ours.dtype, ours.shape) == (torch.bfloat16, exact.shape)
    # What is rounded twice differs in every fourth number.
    assert (ours == exact.bfloat16()).double().mean() > 0.99


@pytest.mark.parametrize(
    ("rows", "dtype", "asked"), [(8, torch.float32, False), (256, torch.float32, True), (8, torch.bfloat16, True)]
)
def test_a_small_product_in_float32_does_not_wait_for_onednn(
    rows: int, dtype: torch.dtype, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    computes = mock.Mock(return_value=False)
    monkeypatch.setattr(products, "onednn_computes", computes)
    inputs, weight = torch.randn(rows, 128).to(dtype), torch.randn(128, 128).to(dtype)
    assert linear(inputs, weight).equal(F.linear(inputs, weight))
    assert computes.called == asked


@pytest.mark.skipif(not ONEDNN, reason="this PyTorch has no oneDNN")
@torch.no_grad()
def test_onednn_is_given_weights_without_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    # With gaps, as every 32nd of the keys or one of several heads has them, it takes a thousand times as long.
    given, multiply = [], torch.ops.mkldnn._linear_pointwise
    watched = mock.Mock(side_effect=lambda *factors: (given.append(factors[1]), multiply(*factors))[1])
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", watched)
    inputs, keys = torch.randn(700, 128), torch.randn(4000, 128)
    many, wide = torch.randn(300, 3, 128)[:, 1], torch.randn(300, 130)[:, :128]
    for weight in (keys[::32], many, wide, keys[:128].t()):
        torch.testing.assert_close(linear(inputs, weight), inputs @ weight.t(), rtol=1e-4, atol=1e-4)
    assert len(given) == 4
    assert all(weight.is_contiguous() or weight.t().is_contiguous() for weight in given)
    assert given[3].data_ptr() == keys.data_ptr()  # turned around, it has none, and is not copied


def test_gradients_are_those_of_a_linear_layer() -> None:
    layer, inputs = Linear(6, 4), torch.randn(3, 6, requires_grad=True)
    layer(inputs).sum().backward()
    torch.testing.assert_close(inputs.grad, layer.weight.sum(0).expand(3, 6))
    torch.testing.assert_close(layer.weight.grad, inputs.sum(0).expand(4, 6))


def test_what_onednn_cannot_multiply_keeps_pytorchs_own_road(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, weight = torch.randn(2, 4), torch.randn(3, 4)
    assert not onednn_computes(inputs, weight)  # gradients may be wanted
    with torch.no_grad():
        assert not onednn_computes(inputs.double(), weight.double())
        assert not onednn_computes(inputs[:0], weight)
        assert not onednn_computes(inputs, weight.to("meta"))
        assert linear(inputs[:0], weight).shape == (0, 3)
        with pytest.raises(RuntimeError, match="dtype"):
            linear(inputs, weight.bfloat16())
        with torch.autocast("cpu", torch.bfloat16):
            assert linear(inputs, weight).dtype == torch.bfloat16
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
        assert not onednn_computes(inputs, weight)
        assert linear(inputs, weight).equal(F.linear(inputs, weight))


def test_pairs_are_multiplied_row_by_row_of_the_batch() -> None:
    first, second = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    expected = torch.einsum("bqc,bnc->bqn", first, second)
    with torch.no_grad():
        torch.testing.assert_close(paired(first, second), expected)
        torch.testing.assert_close(paired(first[:1], second[:1]), expected[:1])


def test_row_by_row_gives_what_all_at_once_gives() -> None:
    seen = []

    def both(left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(len(left))
        return left + right, left * right

    left, right = torch.randn(3, 4), torch.randn(3, 4)
    at_once = by_row(both, left, right)
    with torch.no_grad():
        rows = by_row(both, left, right)
    assert seen == ([3, 1, 1, 1] if ONEDNN else [3, 3])
    assert all(map(torch.equal, at_once, rows))


def test_other_devices_work_on_a_few_rows_at_a_time() -> None:
    seen = []

    def doubled(rows: torch.Tensor) -> tuple[torch.Tensor]:
        seen.append(len(rows))
        return (rows * 2,)

    grid = torch.empty(20, 4, device="meta")
    assert by_row(doubled, grid)[0].shape == (20, 4)
    with torch.no_grad():
        assert by_row(doubled, grid)[0].shape == (20, 4)
        assert by_row(doubled, grid, least=5)[0].shape == (20, 4)
    assert seen == [20, 8, 8, 4, 20]


def test_row_by_row_keeps_the_order_of_channels_in_memory() -> None:
    grid = torch.randn(3, 4, 5, 6)
    with torch.no_grad():
        for layout in (torch.contiguous_format, torch.channels_last):
            (same,) = by_row(lambda row, layout=layout: ((row * 2).contiguous(memory_format=layout),), grid)
            assert same.is_contiguous(memory_format=layout)
            assert same.equal(grid * 2)
