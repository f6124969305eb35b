import torch

from sam3_hf.tracker.norm import ChannelNorm


def test_every_cell_is_normalised_on_its_own() -> None:
    grid = torch.randn(2, 6, 3, 4) * 7 + 2
    normalised = ChannelNorm(6)(grid)
    torch.testing.assert_close(normalised.mean(1), torch.zeros(2, 3, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.std(1, correction=0), torch.ones(2, 3, 4))
