import pytest
import torch

from sam3_hf.ops.windows import Windows, from_windows, to_windows


@pytest.mark.parametrize("size", [(12, 12), (9, 9), (5, 7), (6, 13)])
def test_cutting_and_joining_gives_the_grid_back(size: tuple[int, int]) -> None:
    grid = torch.randn(2, *size, 4)
    assert from_windows(to_windows(grid, 6), 6, size).equal(grid)


def test_a_window_holds_neighbours_row_by_row() -> None:
    grid = torch.arange(36.0).reshape(1, 6, 6, 1)
    assert to_windows(grid, 3)[1, :, 0].tolist() == [3, 4, 5, 9, 10, 11, 15, 16, 17]


def test_padding_is_zero() -> None:
    windows = to_windows(torch.ones(1, 4, 4, 1), 3)
    assert windows.shape == (4, 9, 1)
    assert windows.sum() == 16


def test_a_window_as_large_as_the_grid_is_the_grid() -> None:
    grid = torch.randn(2, 5, 5, 3)
    assert to_windows(grid, 5).equal(grid.flatten(1, 2))


@pytest.mark.parametrize("in_order", [True, False])
def test_windows_are_the_same_in_either_order(in_order: bool) -> None:
    rows = torch.randn(2, 36, 4)
    windows = Windows(3, 6, in_order)
    tokens = windows.arrange(rows)
    assert windows.apart(tokens).equal(to_windows(rows.unflatten(1, (6, 6)), 3))
    assert windows.together(windows.apart(tokens)).equal(tokens)
    assert windows.restore(tokens).equal(rows)


def test_nothing_is_moved_where_tokens_lie_window_by_window() -> None:
    windows = Windows(3, 6, in_order=True)
    tokens = windows.arrange(torch.randn(2, 36, 4))
    apart = windows.apart(tokens)
    assert apart.data_ptr() == windows.together(apart).data_ptr() == tokens.data_ptr()
