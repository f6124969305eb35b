"""Softmax inside the product of queries and keys, as attention in bfloat16 on a CPU takes it."""

import pytest
import torch
import torch.nn.functional as F
from tests.support.processors import needs_bfloat16
from tests.support.roads import watch

from sam3_hf.ops.shifted_softmax import fit, shifted_average, shifted_keys, shifted_queries, takes_shift
from sam3_hf.ops.tiled_attention import tiled_attention

SCALING = 0.125

pytestmark = needs_bfloat16


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def draw(spread: float, *sizes: int) -> list[torch.Tensor]:
    """Queries, keys and values of three heads, whose logits spread by spread ** 2."""
    torch.manual_seed(0)
    spreads = (spread, spread, 1.0)
    return [
        (each * torch.randn(2, size, 3, 64)).bfloat16().transpose(1, 2)
        for each, size in zip(spreads, sizes, strict=True)
    ]


def first_head(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What its queries read, and the sums of their weights."""
    read = torch.empty(query.shape[2], value.shape[3])
    queries = shifted_queries(query, key, SCALING)[0, 0]
    return read, shifted_average(queries, shifted_keys(key[0, 0]), value[0, 0].float(), read)


def truth(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(query.double(), key.double(), value.double())


def mean_error(output: torch.Tensor, exact: torch.Tensor) -> float:
    return (output - exact).abs().mean().item()


@pytest.mark.parametrize("spread", [0.05, 0.1, 0.3, 0.5, 1.0, 1.4])
def test_it_is_about_as_exact_as_sdpa(spread: float) -> None:
    heads = draw(spread, 200, 700, 700)
    read, sums = first_head(*heads)
    assert fit(sums, 700)
    exact, sdpa = truth(*heads), F.scaled_dot_product_attention(*heads)
    torch.testing.assert_close(read.double(), exact[0, 0], rtol=2**-6, atol=2**-7)
    ours = tiled_attention(*heads, None, SCALING).transpose(1, 2)
    assert mean_error(ours, exact) <= 1.15 * mean_error(sdpa, exact)
    torch.testing.assert_close(ours, sdpa, rtol=2**-6, atol=2**-7)


def test_a_key_far_above_the_sample_is_weighed_in_float32() -> None:
    query, key, value = draw(1.0, 200, 700, 700)
    key[:, :, 5] = 30 * query[:, :, 7]  # outside the sample
    _, sums = first_head(query, key, value)
    assert not fit(sums, 700)
    assert not fit(sums[7:8], 700)
    exact, sdpa = truth(query, key, value), F.scaled_dot_product_attention(query, key, value)
    ours = tiled_attention(query, key, value, None, SCALING).transpose(1, 2)
    assert mean_error(ours, exact) <= mean_error(sdpa, exact)


def test_only_the_tiles_that_need_it_are_weighed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = draw(1.0, 600, 4000, 4000)
    before = tiled_attention(query, key, value, None, SCALING)
    query[:, :, 500] = 40 * key[:, :, 5]  # a query in the second tile of two, a key outside the sample
    roads = watch(monkeypatch)
    after = tiled_attention(query, key, value, None, SCALING)
    assert roads == ["product"] * 12 + ["float32"] * 6
    assert torch.equal(before[:, :300], after[:, :300])
    torch.testing.assert_close(before[:, 501:], after[:, 501:], rtol=2**-6, atol=2**-7)
    sdpa = F.scaled_dot_product_attention(query[:, :, 500:501], key, value)
    torch.testing.assert_close(after[:, 500:501].transpose(1, 2), sdpa, rtol=2**-6, atol=2**-7)


@pytest.mark.parametrize("height", [-300.0, 0.0, 15.0, 300.0])
def test_one_key_may_stand_out(height: float) -> None:
    # All keys but one are alike, and so are all queries: in the sample or not, it is weighed as it should be.
    query, key = torch.full((1, 1, 200, 64), 1.0).bfloat16(), torch.full((1, 1, 200, 64), height / 8).bfloat16()
    key[:, :, 7] += 0.75
    value = torch.randn(1, 1, 200, 64).bfloat16()
    ours = tiled_attention(query, key, value, None, SCALING).transpose(1, 2)
    torch.testing.assert_close(ours.double(), truth(query, key, value), rtol=2**-8, atol=2**-9)


def test_what_is_not_a_number_stays_in_its_row() -> None:
    query, key, value = draw(1.0, 200, 700, 700)
    query[0, 0, 3] = float("nan")
    output = tiled_attention(query, key, value, None, SCALING)
    assert output[0, 3, 0].isnan().all()
    assert output.isnan().sum() == output.shape[-1]


def test_only_bfloat16_under_a_power_of_two_is_shifted() -> None:
    query = draw(1.0, 200, 700, 700)[0]
    assert takes_shift(query, 0.125)
    assert not takes_shift(query, 32**-0.5)
    assert not takes_shift(query.float(), 0.125)
    with torch.enable_grad():
        assert not takes_shift(query, 0.125)
