import torch

from sam3_hf.configuration_sam3_loss import Sam3LossConfig
from sam3_hf.losses.points import at, doubtful_points


def test_a_cells_centre_has_the_cells_value() -> None:
    maps = torch.randn(2, 4, 5)
    points = torch.tensor([[(2 + 0.5) / 5, (1 + 0.5) / 4]]).expand(2, 1, 2)
    torch.testing.assert_close(at(points, maps)[:, 0], maps[:, 1, 2])
    torch.testing.assert_close(at(torch.zeros(2, 1, 2), maps)[:, 0], maps[:, 0, 0])


def test_most_points_are_where_the_model_is_not_sure() -> None:
    slope = torch.linspace(-10, 10, 64).expand(1, 64, 64)
    points = doubtful_points(slope, 400, Sam3LossConfig(mask_importance_ratio=1.0))
    assert points.shape == (1, 400, 2)
    # A third of the candidates is taken: those within a third of the width around the middle.
    assert ((points[..., 0] - 0.5).abs() < 0.25).all()
    at_random = doubtful_points(slope, 400, Sam3LossConfig(mask_importance_ratio=0.0))
    assert ((at_random[..., 0] - 0.5).abs() > 0.25).float().mean() > 0.3
