"""Trainer: transformers' own, with SAM 3's rates, schedule, loss terms in the log, and measured results.

examples -> collator -> model -> loss, terms -> steps
evaluation: loss of every batch, then whatever `measure` says of the model
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput

from sam3_hf.training.arguments import Sam3TrainingArguments
from sam3_hf.training.averaging import WeightAverage
from sam3_hf.training.parameters import parameter_groups
from sam3_hf.training.schedule import inverse_sqrt_schedule

Measure = Callable[[nn.Module, Any], dict[str, float]]


class LossTerms:
    """Means of the loss terms since they were last read; those of layers before the last are left out."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.batches = 0

    def add(self, terms: dict[str, Tensor]) -> None:
        """Count the terms of one batch."""
        self.batches += 1
        for name, value in terms.items():
            if "_aux_" not in name:
                self.sums[name] = self.sums.get(name, 0) + value.detach().float()

    def read(self) -> dict[str, float]:
        """The means; counting starts again."""
        means = {name: float(value) / self.batches for name, value in self.sums.items()}
        self.__init__()
        return means


class Sam3Trainer(Trainer):
    """Trains a `Sam3Model`, with or without adapters.

    Args:
        model: The model.
        args: Arguments.
        train_dataset, eval_dataset: Datasets of `ImageExample`.
        data_collator: Makes batches of them.
        measure: Called with the model and the evaluation dataset after the evaluation loss; what it returns joins the
            metrics, as `eval_<name>`. See `sam3_hf.training.measuring`.
        **kwargs: Of `transformers.Trainer`.
    """

    args: Sam3TrainingArguments

    def __init__(
        self,
        model: nn.Module,
        args: Sam3TrainingArguments,
        train_dataset: Dataset | None = None,
        eval_dataset: Any = None,
        data_collator: Callable[[Any], dict[str, Any]] | None = None,
        measure: Measure | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            model, args, train_dataset=train_dataset, eval_dataset=eval_dataset, data_collator=data_collator, **kwargs
        )
        # Without this, parts of a batch would be scaled by a number of tokens that images do not have.
        self.model_accepts_loss_kwargs = False
        self.measure = measure
        self.terms = LossTerms()
        self.averaging = WeightAverage(args.ema_decay) if args.ema_decay is not None else None
        if self.averaging:
            self.add_callback(self.averaging)

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """AdamW, or what `args.optim` says, with a learning rate for every part."""
        if self.optimizer is None:
            learner: Any = model or self.model
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(self.args, learner)
            groups = parameter_groups(learner, self.args.rates(), self.args.weight_decay)
            self.optimizer = optimizer_class(groups, **options)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """The inverse-square-root schedule, unless `args.lr_scheduler_type` names another."""
        if self.lr_scheduler is None and self.args.lr_scheduler_type == "inverse_sqrt":
            self.lr_scheduler = inverse_sqrt_schedule(
                optimizer or self.optimizer,
                num_training_steps,
                self.args.get_warmup_steps(num_training_steps),
                self.args.timescale,
                self.args.cooldown_steps,
            )
            self._created_lr_scheduler = True
        return super().create_scheduler(num_training_steps, optimizer)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The model's loss; its terms are kept for the log.

        Raises:
            FloatingPointError: The loss is not finite.
        """
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if model.training:
            terms: dict[str, Tensor] = outputs["loss_dict"]  # pyright: ignore
            self.terms.add(terms)
            if not loss.isfinite().all():  # pyright: ignore
                values = {name: float(value) for name, value in terms.items()}
                raise FloatingPointError(
                    f"The loss of step {self.state.global_step} is {loss.item()}; its terms are {values}. "
                    "Lower the learning rate, or go on from an earlier checkpoint with another seed."
                )
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the means of the loss terms (of this process) beside the loss."""
        super().log(logs | self.terms.read() if "loss" in logs else logs, start_time)

    def evaluation_loop(
        self, dataloader: DataLoader, description: str, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
    ) -> EvalLoopOutput:
        """Evaluation loss and measured results, of the averaged weights if there are any."""
        if self.averaging:
            with self.averaging.applied(self.model):  # pyright: ignore
                return self._evaluate_once(dataloader, description, *args, prefix=metric_key_prefix, **kwargs)
        return self._evaluate_once(dataloader, description, *args, prefix=metric_key_prefix, **kwargs)

    def _evaluate_once(
        self, dataloader: DataLoader, description: str, *args: Any, prefix: str, **kwargs: Any
    ) -> EvalLoopOutput:
        output = super().evaluation_loop(dataloader, description, *args, metric_key_prefix=prefix, **kwargs)
        model: Any = self.model
        with self.compute_loss_context_manager():
            measured = self.measure(model, dataloader.dataset) if self.measure else {}
        metrics: dict[str, float] = output.metrics  # pyright: ignore
        metrics.update({f"{prefix}_{name}": value for name, value in measured.items()})
        return output
