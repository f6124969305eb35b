"""Averaging: a moving average of the weights, kept beside the checkpoints.

weights after every step -> average -> evaluated in place of the weights, saved with each checkpoint, left at the end
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

FILE = "average.safetensors"


class WeightAverage(TrainerCallback):
    """Exponential moving average of all parameters that learn.

    Args:
        decay: Share of the old average that each step keeps, in 0..1.

    Raises:
        ValueError: `decay` is not between 0 and 1.
    """

    def __init__(self, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"The decay of the average lies between 0 and 1; got {decay}.")
        self.decay = decay
        self.average: dict[str, Tensor] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start from the weights, or from what a resumed run had."""
        model = kwargs["model"]
        if not state.global_step:
            self.average = {name: parameter.detach().clone() for name, parameter in learning(model)}
            return
        path = _folder(args, state) / FILE
        if not path.is_file():
            raise ValueError(f"{path} is missing: the run to resume had no average; leave the decay out to go on.")
        self.average = load_file(path, device=str(next(model.parameters()).device))

    @torch.no_grad()
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move towards the weights; faster in the first steps, when the average still holds the start."""
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        for name, parameter in learning(kwargs["model"]):
            self.average[name].lerp_(parameter.detach(), 1 - decay)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Put the average into the checkpoint."""
        if args.should_save:
            save_file(self.average, _folder(args, state) / FILE, {"format": "pt"})

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the average in the model: that of the best checkpoint, if that was asked for, else the last one."""
        if args.load_best_model_at_end and state.best_model_checkpoint:
            self.average = load_file(Path(state.best_model_checkpoint) / FILE)
        _copy(self.average, kwargs["model"])
        self.average = {}

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Inside the block the model has the average for weights, once training has begun."""
        weights = {name: parameter.detach().clone() for name, parameter in learning(model)} if self.average else {}
        try:
            _copy(self.average, model)
            yield
        finally:
            _copy(weights, model)


def learning(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Name and value of every parameter that learns."""
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


@torch.no_grad()
def _copy(values: dict[str, Tensor], model: nn.Module) -> None:
    parameters = dict(model.named_parameters())
    for name, value in values.items():
        parameters[name].copy_(value)


def _folder(args: TrainingArguments, state: TrainerState) -> Path:
    """The checkpoint of this step."""
    return Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
