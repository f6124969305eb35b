"""Recipe: all that decides how a fine-tuning run goes, checked before anything is loaded.

what the user asked for -> Recipe -> data of the splits, arguments of the Trainer
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from sam3_hf.datasets.coco import CocoDataset
from sam3_hf.datasets.coco_folders import find_split
from sam3_hf.extras import needed
from sam3_hf.training.adapters import PARTS
from sam3_hf.training.arguments import Sam3TrainingArguments
from sam3_hf.training.parameters import PRESETS

# What may differ when a run is resumed.
_FREE = ("workers", "tensorboard", "cpu", "quiet")


@dataclass(frozen=True)
class Recipe:
    """A fine-tuning run.

    Args:
        data: Folder of a COCO data set, see `sam3_hf.datasets.coco_folders`.
        model: Folder or Hub id of the model to start from.
        output: Folder of the result; checkpoints lie in `training` below it.
        preset: What learns, see `sam3_hf.training.parameters.freeze`; not together with `lora`.
        lora: Parts that get LoRA adapters instead, see `sam3_hf.training.adapters.add_lora`.
        lora_rank: Rank of the adapters.
        epochs: Passes over the training images.
        batch_size: Images per step and process.
        accumulate: Batches per step of the optimizer.
        learning_rate, vision_learning_rate, text_learning_rate, layer_decay: See `Sam3TrainingArguments`.
        masks: Whether to train masks; if not given, whether the training file has any.
        mask_size: Side in pixels of the masks that the loss compares; that of the model's input if not given.
        negatives: Categories that are not in an image to ask for with each, at random; -1 for all.
        augment: Whether to resize and place images at random.
        visual_probability: How often a category is asked for with one of its objects as example box, too.
        evaluate_every: Epochs between two evaluations, each with a checkpoint.
        ema: Decay of a moving average of the weights.
        checkpointing: Compute activations again instead of keeping them: less memory, a third more time.
        log_every: Steps between two lines of the log.
        workers: Processes that read images.
        seed: Of everything random.
        train_file, valid_file: Names of the COCO files, where they are not found by themselves.
        tensorboard: Whether to write logs for TensorBoard.
        cpu: Do not use a GPU.
        quiet: No progress bars.
    """

    data: Path
    model: str
    output: Path
    preset: str = "all"
    lora: tuple[str, ...] = ()
    lora_rank: int = 16
    epochs: int = 40
    batch_size: int = 2
    accumulate: int = 1
    learning_rate: float = 8e-5
    vision_learning_rate: float = 2.5e-5
    text_learning_rate: float = 5e-6
    layer_decay: float = 0.9
    masks: bool | None = None
    mask_size: int | None = None
    negatives: int = 8
    augment: bool = True
    visual_probability: float = 0.0
    evaluate_every: int = 1
    ema: float | None = None
    checkpointing: bool = False
    log_every: int = 10
    workers: int = 0
    seed: int = 123
    train_file: str | None = None
    valid_file: str | None = None
    tensorboard: bool = False
    cpu: bool = False
    quiet: bool = False

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.output / "training"

    def check(self, resume: bool) -> None:
        """Refuse what cannot work.

        Raises:
            ValueError: An option out of range, an output folder that holds something, or nothing to resume.
            ImportError: A package of the extra "train" is missing.
        """
        if self.preset not in PRESETS:
            raise ValueError(f"The presets are {', '.join(PRESETS)}; got {self.preset!r}.")
        unknown = [part for part in self.lora if part not in PARTS]
        if unknown:
            raise ValueError(f"LoRA goes to {', '.join(PARTS)}; got {', '.join(unknown)}.")
        counts = ("lora_rank", "epochs", "batch_size", "accumulate", "evaluate_every", "log_every")
        low = [name for name in counts if getattr(self, name) < 1]
        if low:
            raise ValueError(f"{low[0].replace('_', ' ')} must be at least 1; got {getattr(self, low[0])}.")
        if not 0 <= self.visual_probability <= 1:
            raise ValueError(f"A probability lies in 0..1; got {self.visual_probability} for example boxes.")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"The decay of the average lies between 0 and 1; got {self.ema}.")
        if self.lora:
            needed("peft", "train")
        if self.tensorboard:
            needed("tensorboard", "train")
        needed("scipy.optimize", "train")
        self._check_output(resume)

    def _check_output(self, resume: bool) -> None:
        options = self.checkpoints / "recipe.json"
        if not resume:
            if self.output.exists() and (not self.output.is_dir() or any(self.output.iterdir())):
                raise ValueError(
                    f"{self.output} holds something already; pass another folder, or resume the run in it."
                )
            return
        if not options.is_file():
            raise ValueError(f"{self.output} holds no run to resume ({options} is missing).")
        before, now = json.loads(options.read_text(encoding="utf-8")), self.to_dict()
        changed = [name for name in now if name not in _FREE and before.get(name) != now[name]]
        if changed:
            was = ", ".join(f"{name}={before.get(name)!r}, not {now[name]!r}" for name in changed)
            raise ValueError(f"The run in {self.output} was started with {was}; resume it with the same options.")

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        values = asdict(self) | {"lora": list(self.lora), "data": str(self.data), "output": str(self.output)}
        return {name: values[name] for name in sorted(values)}

    def train_data(self) -> CocoDataset:
        """Images to train with.

        Raises:
            CocoError: There are none, or they cannot be used.
        """
        dataset = self._split("train", self.train_file, self.masks)
        if dataset is None or not len(dataset):
            raise ValueError(f"{self.data} holds no training images in any known layout; name the file (train_file).")
        if self.masks and not dataset.has_masks:
            raise ValueError(f"{dataset.file.path} holds no masks; train boxes only.")
        return dataset

    def valid_data(self, masks: bool) -> CocoDataset | None:
        """Images to evaluate with: those of the split `valid`, else of `test`, else none."""
        valid = self._split("valid", self.valid_file, masks)
        return valid if valid is not None or self.valid_file else self._split("test", None, masks)

    def _split(self, split: str, name: str | None, masks: bool | None) -> CocoDataset | None:
        found = find_split(self.data, split, name)
        return None if found is None else CocoDataset(found.file, found.images, masks)

    def arguments(self, images: int, metric: str | None) -> Sam3TrainingArguments:
        """Arguments of the Trainer for so many images; `metric` says which evaluation is the best."""
        batches = math.ceil(images / (self.batch_size * PartialState(cpu=self.cpu).num_processes))
        every = self.evaluate_every * math.ceil(batches / self.accumulate)
        evaluation: dict[str, Any] = {"save_strategy": "steps", "save_steps": every, "save_total_limit": 2}
        if metric is not None:
            evaluation |= {"eval_strategy": "steps", "eval_steps": every, "load_best_model_at_end": True}
            evaluation |= {"metric_for_best_model": f"eval_{metric}", "greater_is_better": True}
        return Sam3TrainingArguments(
            output_dir=str(self.checkpoints),
            num_train_epochs=self.epochs,
            per_device_train_batch_size=self.batch_size,
            gradient_accumulation_steps=self.accumulate,
            learning_rate=self.learning_rate,
            vision_learning_rate=self.vision_learning_rate,
            text_learning_rate=self.text_learning_rate,
            layer_decay=self.layer_decay,
            ema_decay=self.ema,
            dataloader_num_workers=self.workers,
            seed=self.seed,
            logging_steps=self.log_every,
            report_to=["tensorboard"] if self.tensorboard else [],
            bf16=not self.cpu and torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
            use_cpu=self.cpu,
            disable_tqdm=self.quiet,
            **evaluation,
        )
