"""Drop path: while training, a branch of a residual layer is left out now and then, per sample.

branch [B, ...] -> branch [B, ...], zero for some samples
"""

from jaxtyping import Float
from torch import Tensor, nn


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382); branches that stay make up for those that are left out."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Float[Tensor, "B *S"]) -> Float[Tensor, "B *S"]:
        """The branch itself outside of training."""
        if not self.training or self.rate == 0:
            return branch
        stays = branch.new_empty(len(branch), *[1] * (branch.ndim - 1)).bernoulli_(1 - self.rate)
        return branch * stays / (1 - self.rate)
