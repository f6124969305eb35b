"""Arguments: transformers' `TrainingArguments` with the recipe of the original's fine-tuning as defaults."""

from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

from sam3_hf.training.parameters import LearningRates


@dataclass
class Sam3TrainingArguments(TrainingArguments):
    """Arguments of `Sam3Trainer`; all of `transformers.TrainingArguments`, and those below.

    Args:
        learning_rate: Peak rate of the detector.
        vision_learning_rate: Peak rate of the last blocks of the vision encoder and its neck.
        text_learning_rate: Peak rate of the text encoder.
        layer_decay: Every block of the ViT learns slower than the next by this factor.
        timescale: Steps after the warm-up in which the rates fall to 1 / sqrt(2).
        cooldown_steps: Steps at the end in which the rates fall to zero.
        ema_decay: Keep a moving average of the weights, which is what is evaluated and what remains; 0.999 forgets
            with a time constant of 1000 steps.
    """

    vision_learning_rate: float = 2.5e-5
    text_learning_rate: float = 5e-6
    layer_decay: float = 0.9
    timescale: int = 20
    cooldown_steps: int = 20
    ema_decay: float | None = None

    # Of transformers, with other defaults.
    learning_rate: float = 8e-5
    weight_decay: float = 0.1
    warmup_steps: float = 20
    lr_scheduler_type: str = "inverse_sqrt"
    max_grad_norm: float = 0.1
    per_device_train_batch_size: int = 2
    per_device_eval_batch_size: int = 1
    num_train_epochs: float = 40
    seed: int = 123
    # Pinned memory serves copies to a GPU, and PyTorch warns where there is none.
    dataloader_pin_memory: bool = field(default_factory=torch.cuda.is_available)
    # What forward calls labels; the default would take input_boxes_labels for one, too.
    label_names: list[str] | None = field(default_factory=lambda: ["labels"])
    # Examples are objects and batches hold lists of different lengths.
    remove_unused_columns: bool = False
    eval_do_concat_batches: bool = False
    # Text prompts leave the boxes' layers unused, box labels the mask decoder, and negative prompts most heads.
    ddp_find_unused_parameters: bool | None = True

    def rates(self) -> LearningRates:
        """The learning rates."""
        return LearningRates(self.learning_rate, self.vision_learning_rate, self.text_learning_rate, self.layer_decay)
