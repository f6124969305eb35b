import math

import torch

from sam3_hf.ops.positions import box_positions, centre_positions, grid_positions, sine


def test_sine_alternates_sine_and_cosine_of_growing_wavelengths() -> None:
    angle = 0.3 * 2 * math.pi
    expected = [math.sin(angle), math.cos(angle), math.sin(angle / 100), math.cos(angle / 100)]
    torch.testing.assert_close(sine(torch.tensor(0.3), 4), torch.tensor(expected))


def test_grid_tells_rows_in_the_first_half_and_columns_in_the_second() -> None:
    grid = grid_positions((3, 5), 8, torch.zeros(1))
    assert grid.shape == (1, 8, 3, 5)
    assert (grid[0, :4] == grid[0, :4, :, :1]).all()
    assert (grid[0, 4:] == grid[0, 4:, :1, :]).all()


def test_the_last_cell_is_one_turn() -> None:
    torch.testing.assert_close(
        grid_positions((4, 4), 4, torch.zeros(1))[0, :2, -1, 0], torch.tensor([0.0, 1.0]), atol=1e-5, rtol=0
    )


def test_large_grids_keep_their_cells_apart_in_half_precision() -> None:
    half = grid_positions((288, 288), 256, torch.zeros(1, dtype=torch.bfloat16))
    full = grid_positions((288, 288), 256, torch.zeros(1))
    assert half.dtype == torch.bfloat16
    assert half.equal(full.bfloat16())


def test_boxes_are_told_as_row_column_width_height() -> None:
    box = torch.tensor([0.1, 0.2, 0.3, 0.4])
    parts = [sine(box[i], 4) for i in (1, 0, 2, 3)]
    torch.testing.assert_close(box_positions(box, 16), torch.cat(parts))


def test_centres_are_followed_by_height_and_width() -> None:
    box = torch.tensor([0.1, 0.2, 0.3, 0.4])
    expected = torch.cat([sine(box[1], 4), sine(box[0], 4), box[[3, 2]]])
    torch.testing.assert_close(centre_positions(box, 8), expected)
