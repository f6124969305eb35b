import pytest
import torch

from sam3_hf.ops import rotary
from sam3_hf.ops.rotary import rotary_table, rotate, rotate_in_place, rotates_in_place


def complex_reference(heads: torch.Tensor, side: int, reference: int) -> torch.Tensor:
    """Rotation as the original does it, with complex numbers."""
    size = heads.shape[-1]
    frequency = 1.0 / 10000 ** (torch.arange(0, size, 4)[: size // 4].float() / size)
    index = torch.arange(side * side)
    x, y = ((axis * (reference / side)).float() for axis in (index % side, index // side))
    angles = torch.cat([torch.outer(x, frequency), torch.outer(y, frequency)], -1)
    turned = torch.view_as_complex(heads.unflatten(-1, (-1, 2)).contiguous()) * torch.polar(torch.ones(1), angles)
    return torch.view_as_real(turned).flatten(-2)


def test_equals_complex_rotation_at_every_stretch() -> None:
    for side, reference in [(6, 6), (12, 6), (9, 6), (4, 6)]:
        heads = torch.randn(2, 3, side * side, 16)
        table = rotary_table(side, reference, 16, 10000.0, heads)
        torch.testing.assert_close(
            rotate(heads, table), complex_reference(heads, side, reference), rtol=1e-5, atol=1e-5
        )


def test_compiled_and_eager_forms_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = torch.randn(2, 3, 36, 16)
    table = rotary_table(6, 6, 16, 10000.0, heads)
    eager = rotate(heads, table)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(rotate(heads, table), eager)


def test_dot_products_depend_on_distance_alone() -> None:
    token = torch.randn(1, 1, 1, 16).expand(1, 1, 36, 16)
    turned = rotate(token, rotary_table(6, 6, 16, 10000.0, token))[0, 0].unflatten(0, (6, 6))
    torch.testing.assert_close((turned[0, 0] * turned[1, 2]).sum(), (turned[3, 2] * turned[4, 4]).sum())


def test_half_precision_is_turned_in_full() -> None:
    heads = torch.randn(1, 1, 36, 16).bfloat16()
    table = rotary_table(6, 6, 16, 10000.0, heads)
    assert table.cos.dtype == torch.float32
    assert rotate(heads, table).equal(rotate(heads.float(), table).bfloat16())


@pytest.mark.parametrize("room", [100, 3 * 36 * 16, 2 * 3 * 36 * 16, 10**6])
def test_rows_are_turned_in_parts_or_together(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = torch.randn(5, 3, 36, 16)
    table = rotary_table(6, 6, 16, 10000.0, heads)
    expected = rotate(heads, table)
    monkeypatch.setattr(rotary, "_AT_ONCE", room)
    with torch.no_grad():
        assert rotate(heads, table).equal(expected)
        assert rotate(heads[:0], table).shape == (0, 3, 36, 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_heads_are_turned_in_place_where_nothing_asks_for_gradients(dtype: torch.dtype) -> None:
    whole = torch.randn(2, 1, 40, 16).to(dtype)
    table = rotary_table(6, 6, 16, 10000.0, whole)
    expected = torch.cat([rotate(whole[:, :, :36], table), whole[:, :, 36:]], 2)
    assert not rotates_in_place(whole)
    with torch.no_grad():
        assert rotates_in_place(whole)
        rotate_in_place(whole[:, :, :36], table)
    assert whole.equal(expected)
