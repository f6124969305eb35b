import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from sam3_hf.losses.formulas import dice, focal


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 2.0), (0.5, 0.0)])
def test_focal_loss_is_that_of_torchvision(alpha: float, gamma: float) -> None:
    logits, targets = 4 * torch.randn(3, 50), (torch.rand(3, 50) > 0.5).float()
    torch.testing.assert_close(focal(logits, targets, alpha, gamma), sigmoid_focal_loss(logits, targets, alpha, gamma))


def test_without_focus_focal_loss_is_half_the_cross_entropy() -> None:
    logits, targets = torch.randn(9), torch.ones(9)
    torch.testing.assert_close(
        focal(logits, targets, 0.5, 0), 0.5 * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    )


def test_dice_goes_from_one_to_zero() -> None:
    mask = torch.zeros(1, 100)
    mask[:, :40] = 1
    sure = 100 * (2 * mask - 1)
    assert dice(sure, mask).item() == pytest.approx(0)
    assert dice(-sure, mask).item() == pytest.approx(1 - 1 / 101)
    assert dice(sure, mask.roll(20, 1)).item() == pytest.approx(1 - 41 / 81)


def test_gradients_are_those_of_differences() -> None:
    logits, targets = torch.randn(2, 6, dtype=torch.double, requires_grad=True), torch.rand(2, 6).double()
    assert torch.autograd.gradcheck(lambda values: focal(values, targets, 0.25, 2.0), logits)
    assert torch.autograd.gradcheck(lambda values: dice(values, targets), logits)


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[-1e4, 1e4, 0.0, 200.0]], requires_grad=True)
    (focal(logits, torch.tensor([[1.0, 0, 1, 1]]), 0.5, 0.0).sum() + dice(logits, torch.ones(1, 4)).sum()).backward()
    assert logits.grad.isfinite().all()
