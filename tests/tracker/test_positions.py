import torch

from sam3_hf.tracker.positions import FourierPositions, cell_centres


def test_cell_centres_are_x_then_y_inside_their_cells() -> None:
    centres = cell_centres((2, 4), torch.zeros(1))
    assert centres.shape == (2, 4, 2)
    assert centres[0, 0].tolist() == [0.125, 0.25]
    assert centres[1, 3].tolist() == [0.875, 0.75]


def test_positions_are_sines_then_cosines() -> None:
    positions = FourierPositions(8, 1)
    positions.positional_embedding.normal_()
    middle = positions(torch.tensor([[0.5, 0.5]]))
    assert middle.tolist() == [[0] * 4 + [1] * 4]
    encoded = positions(torch.rand(5, 3, 2))
    torch.testing.assert_close(encoded[..., :4] ** 2 + encoded[..., 4:] ** 2, torch.ones(5, 3, 4))


def test_half_precision_still_tells_neighbouring_cells_apart() -> None:
    positions = FourierPositions(64, 1)
    positions.positional_embedding.normal_()
    places = cell_centres((1, 288), torch.zeros(1))
    exact, half = positions(places), positions.to(torch.bfloat16)(places)
    assert half.dtype == torch.bfloat16
    assert (half - exact).abs().max() < 0.05
