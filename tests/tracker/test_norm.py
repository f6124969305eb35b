import pytest
import torch

from sam3_hf.tracker.norm import ChannelNorm


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("channels", [1, 4, 8, 9])
def test_every_cell_is_normalised_whatever_the_layout(channels: int, learns: bool) -> None:
    torch.manual_seed(0)
    norm = ChannelNorm(channels, eps=1e-6).double()
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    grid = 3 * torch.randn(2, channels, 5, 7, dtype=torch.float64) + 10
    weight, bias = norm.weight[:, None, None], norm.bias[:, None, None]
    spread = (grid.var(1, correction=0, keepdim=True) + 1e-6).sqrt()
    expected = (grid - grid.mean(1, keepdim=True)) / spread * weight + bias
    norm.float()
    for layout in (torch.contiguous_format, torch.channels_last):
        given = grid.float().contiguous(memory_format=layout)
        with torch.set_grad_enabled(learns):
            found = norm(given)
        torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=1e-5)
        assert given.equal(grid.float())


def test_it_learns_and_keeps_half_precision() -> None:
    norm = ChannelNorm(4)
    norm(torch.randn(1, 4, 3, 3)).square().sum().backward()
    assert norm.weight.grad is not None
    assert norm.weight.grad.abs().sum() > 0
    with torch.no_grad():
        assert norm.bfloat16()(torch.randn(1, 4, 3, 3).bfloat16()).dtype == torch.bfloat16


def test_every_cell_is_normalised_on_its_own() -> None:
    grid = torch.randn(2, 6, 3, 4) * 7 + 2
    normalised = ChannelNorm(6)(grid)
    torch.testing.assert_close(normalised.mean(1), torch.zeros(2, 3, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.std(1, correction=0), torch.ones(2, 3, 4))
