"""The work behind `finetune`: options -> recipe -> run -> a table of what the result can do."""

from typing import Any

import torch
from accelerate import PartialState
from rich.console import Console
from rich.table import Table
from rich.text import Text
from transformers.utils import logging

from sam3_hf.cli.errors import CommandError
from sam3_hf.training.finetuning import FinetuningResult, finetune
from sam3_hf.training.recipe import Recipe


def run(options: dict[str, Any], resume: bool) -> None:
    """Do it, and say how it went.

    Raises:
        ValueError: Something cannot be used.
        CommandError: The memory does not suffice.
    """
    logging.set_verbosity_error()
    recipe = Recipe(**options, quiet=not Console(stderr=True).is_terminal)
    if recipe.quiet:
        logging.disable_progress_bar()
    try:
        result = finetune(recipe, resume)
    except torch.OutOfMemoryError as error:
        raise CommandError(
            "Out of memory; try --checkpointing, --batch-size 1, fewer --negatives, a smaller --mask-size, "
            f"--preset detector or --lora, with another --output. {error}"
        ) from error
    if PartialState().is_main_process:
        show(result)


def show(result: FinetuningResult) -> None:
    """Metrics of the last evaluation, and where the model is."""
    console = Console(highlight=False)
    if result.metrics:
        table = Table("Metric", "Value")
        for name, value in result.metrics.items():
            table.add_row(name, f"{value:.4f}")
        console.print(table)
    else:
        console.print("There were no images to evaluate with: neither a split valid nor test.")
    console.print(Text(f"The model is in {result.folder}."), soft_wrap=True)
