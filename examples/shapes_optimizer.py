"""Optimizer of the recipe: Muon for the matrices of transformer layers, AdamW for all else."""

from typing import Any

from torch import nn
from torch.optim import AdamW, Muon, Optimizer


class MuonAndAdamW(Optimizer):
    """Two optimizers that step as one; matrices in layers learn by Muon (arXiv 2502.16982), which needs fewer steps.

    Args:
        model: What learns.
        rate: Peak learning rate of both.
        weight_decay: Of matrices.
    """

    def __init__(self, model: nn.Module, rate: float, weight_decay: float) -> None:
        learning = {name: each for name, each in model.named_parameters() if each.requires_grad}
        matrices = [each for name, each in learning.items() if each.ndim == 2 and ".layers." in name]
        taken = {id(each) for each in matrices}
        others = [each for each in learning.values() if id(each) not in taken]
        self.parts: list[Optimizer] = [AdamW(others, lr=rate, weight_decay=0.0, betas=(0.9, 0.99))]
        if matrices:
            muon = Muon(matrices, lr=rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            self.parts.insert(0, muon)
        super().__init__([{"params": matrices}, {"params": others}], {"lr": rate})
        # The parts step with the rates that a schedule sets here.
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Any = None) -> None:
        """Both step."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The states of both, as saved."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
