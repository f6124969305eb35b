import pytest
import torch

from sam3_hf.ops.windows import from_windows, to_windows


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
