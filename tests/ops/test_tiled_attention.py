import pytest
import torch
import torch.nn.functional as F

from sam3_hf.ops import tiled_attention as tiles
from sam3_hf.ops.tiled_attention import GridBias, can_tile, tiled_attention

HEIGHT, WIDTH = 12, 20


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=str)
def heads(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    lengths = (200, HEIGHT * WIDTH, HEIGHT * WIDTH)
    return tuple((2 * torch.randn(2, length, 3, 16)).to(request.param).transpose(1, 2) for length in lengths)


def check(heads: tuple[torch.Tensor, ...], mask: object = None, scaling: float = 0.25) -> None:
    """Against `scaled_dot_product_attention`, and both against float64: ours may not be the worse one in bfloat16."""
    dense = mask.dense() if isinstance(mask, GridBias) else mask
    exact = GridBias(*(term.double() for term in mask)).dense() if isinstance(mask, GridBias) else mask
    exact = exact.double() if exact is not None and exact.is_floating_point() else exact
    truth = F.scaled_dot_product_attention(*(each.double() for each in heads), exact, scale=scaling)
    sdpa = F.scaled_dot_product_attention(*heads, dense, scale=scaling)
    ours = tiled_attention(*heads, mask, scaling).transpose(1, 2)
    assert ours.dtype == heads[0].dtype
    rounding = torch.finfo(ours.dtype).eps
    torch.testing.assert_close(ours, sdpa, rtol=8 * rounding, atol=64 * rounding)
    allowed = 1.0 if ours.dtype == torch.bfloat16 else 2.0  # in float32 both differ in the order of sums alone
    assert (ours - truth).abs().mean() <= allowed * (sdpa - truth).abs().mean()


def test_tiles_agree_with_sdpa(heads: tuple[torch.Tensor, ...]) -> None:
    check(heads, scaling=0.3)  # by a power of two, bfloat16 takes another road, which has tests of its own


def test_tiles_agree_with_sdpa_under_a_mask_and_a_bias(heads: tuple[torch.Tensor, ...]) -> None:
    check(heads, torch.rand(2, 3, 200, HEIGHT * WIDTH) > 0.5)
    check(heads, torch.randn(2, 3, 200, HEIGHT * WIDTH).to(heads[0].dtype))


def test_keys_that_no_query_sees_are_left_out(heads: tuple[torch.Tensor, ...]) -> None:
    valid = torch.rand(2, 1, 1, HEIGHT * WIDTH) > 0.5
    check(heads, valid, scaling=0.3)
    query, key, value = heads
    rows = [
        tiled_attention(
            query[row : row + 1], *(part[row : row + 1, :, valid[row, 0, 0]] for part in (key, value)), None, 0.25
        )
        for row in range(2)
    ]
    assert tiled_attention(query, key, value, valid, 0.25).equal(torch.cat(rows))
    # Where there is no key to see, all are averaged.
    none = tiled_attention(query, key, value, torch.zeros_like(valid), 0.25)
    torch.testing.assert_close(none.float(), value.float().mean(2)[:, None].expand_as(none), atol=2e-2, rtol=2e-2)


def test_values_may_be_narrower_than_keys(heads: tuple[torch.Tensor, ...]) -> None:
    rounding = torch.finfo(heads[0].dtype).eps
    # So many keys that narrow values, too, go the road that they go in a model.
    query, (key, value) = heads[0], torch.randn(2, 2, 3, 6000, 16).to(heads[0].dtype)
    narrow, wide = (tiled_attention(query, key, value[..., :width], None, 0.25) for width in (4, 16))
    torch.testing.assert_close(narrow, wide[..., :4], rtol=2 * rounding, atol=2 * rounding)


def test_a_bias_of_rows_and_columns_is_their_sum(heads: tuple[torch.Tensor, ...]) -> None:
    terms = (torch.randn(2, 3, 200, length).to(heads[0].dtype) for length in (HEIGHT, WIDTH))
    check(heads, GridBias(*terms))


def test_the_size_of_a_tile_changes_nothing(heads: tuple[torch.Tensor, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tiled_attention(*heads, None, 0.25)
    monkeypatch.setattr(tiles, "_TILE", 7 * HEIGHT * WIDTH)
    rounding = torch.finfo(whole.dtype).eps
    torch.testing.assert_close(tiled_attention(*heads, None, 0.25), whole, rtol=2 * rounding, atol=rounding)


def test_only_long_sequences_without_gradients_are_tiled() -> None:
    long, short = torch.randn(1, 1, 200, 8), torch.randn(1, 1, 20, 8)
    assert can_tile(long, long, long) == torch.backends.mkldnn.is_available()
    assert not can_tile(long, short, short)
    wide, many = torch.randn(1, 1, 20, 128), torch.randn(1, 1, 7000, 128)  # few queries, and much to multiply
    assert can_tile(wide, many, many) == torch.backends.mkldnn.is_available()
    with torch.enable_grad():
        assert not can_tile(long, long, long)
