import torch

from sam3_hf.ops.tokens import PaddedTokens, join, mean_of_real, to_grid, to_tokens


def test_tokens_are_read_row_by_row_and_laid_out_again() -> None:
    grid = torch.randn(2, 3, 4, 5)
    tokens = to_tokens(grid)
    assert tokens[0, 6].equal(grid[0, :, 1, 1])
    assert to_grid(tokens, (4, 5)).equal(grid)


def test_joining_keeps_padding_with_its_tokens() -> None:
    first = PaddedTokens(torch.randn(1, 2, 3), torch.tensor([[True, False]]))
    second = PaddedTokens(torch.randn(1, 1, 3), torch.tensor([[True]]))
    joined = join(first, second)
    assert joined.values.shape == (1, 3, 3)
    assert joined.valid.tolist() == [[True, False, True]]


def test_the_mean_ignores_padding() -> None:
    tokens = PaddedTokens(torch.tensor([[[1.0], [3.0], [100.0]]]), torch.tensor([[True, True, False]]))
    assert mean_of_real(tokens).item() == 2
