import torch

from sam3_hf.ops.stability import stability


def test_stability_is_the_share_that_stays_inside() -> None:
    logits = torch.tensor([[[3.0, 0.5, -0.5, -3.0]], [[5.0, 5.0, -5.0, -5.0]]])
    torch.testing.assert_close(stability(logits, 0.0, 1.0), torch.tensor([1 / 3, 1.0]))
    torch.testing.assert_close(stability(logits, 1.0, 1.0), torch.tensor([1 / 2, 1.0]))


def test_an_empty_mask_is_stable() -> None:
    assert stability(torch.full((2, 3, 4, 4), -9.0), 0.0, 1.0).tolist() == [[1.0] * 3] * 2
