import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.support.folders import finding_model, tiny_processor
from tests.support.training import squares
from transformers import TrainerCallback

from sam3_hf.training.arguments import Sam3TrainingArguments
from sam3_hf.training.augmentation import Augmentation, AugmentedExamples
from sam3_hf.training.collator import Sam3Collator
from sam3_hf.training.finetuning import finetune, last_checkpoint
from sam3_hf.training.recipe import Recipe
from sam3_hf.training.trainer import Sam3Trainer

# The process is killed, as by a power cut, in the step after the first checkpoint.
KILLED = """
import os, signal, sys
from pathlib import Path
from sam3_hf.training import finetuning
from sam3_hf.training.recipe import Recipe

def die(self, args, state, control, **kwargs):
    if state.global_step == 4:
        os.kill(os.getpid(), signal.SIGKILL)

finetuning.EvaluateAtEnd.on_step_begin = die
data, model, output = map(Path, sys.argv[1:])
finetuning.finetune(Recipe(data, str(model), output, epochs=2, log_every=1, ema=0.9, cpu=True, quiet=True))
"""


def losses(folder: Path) -> list[tuple[int, float, float]]:
    history = json.loads((Path(last_checkpoint(folder)) / "trainer_state.json").read_text())["log_history"]
    return [(line["step"], line["loss"], line["grad_norm"]) for line in history if "loss" in line]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_run_goes_on_as_if_nothing_had_happened(data: Path, model_folder: Path, tmp_path: Path) -> None:
    killed, unbroken = (
        Recipe(data, str(model_folder), tmp_path / name, epochs=2, log_every=1, ema=0.9, cpu=True, quiet=True)
        for name in ("killed", "unbroken")
    )
    arguments = [str(path) for path in (data, model_folder, killed.output)]
    run = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, timeout=200)
    assert run.returncode == -9, run.stderr.decode()
    assert Path(last_checkpoint(killed.checkpoints)).name == "checkpoint-3"
    assert not (killed.output / "model.safetensors").exists()

    results = [finetune(killed, resume=True), finetune(unbroken)]
    assert losses(killed.checkpoints) == losses(unbroken.checkpoints)
    assert len(losses(killed.checkpoints)) == 6
    assert results[0].metrics == results[1].metrics
    weights = [load_file(recipe.output / "model.safetensors") for recipe in (killed, unbroken)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


class Broken(Exception):
    pass


class Break(TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 3:
            raise Broken


def test_a_run_broken_within_an_epoch_goes_on_alike(tmp_path: Path) -> None:
    processor = tiny_processor(tmp_path)

    def trainer(name: str, *callbacks: TrainerCallback) -> Sam3Trainer:
        torch.manual_seed(0)
        options = {"max_steps": 5, "save_steps": 2, "logging_steps": 1, "gradient_accumulation_steps": 2}
        options |= {"output_dir": str(tmp_path / name), "use_cpu": True, "report_to": [], "disable_tqdm": True}
        examples = AugmentedExamples(squares(12), Augmentation(168, negatives=1, visual_probability=0.5))
        arguments = Sam3TrainingArguments(**options)
        model = finding_model()
        collator = Sam3Collator(processor, mask_size=48)
        return Sam3Trainer(model, arguments, examples, data_collator=collator, callbacks=list(callbacks))

    with pytest.raises(Broken):
        trainer("broken", Break()).train()
    resumed = trainer("broken")
    resumed.train(resume_from_checkpoint=last_checkpoint(tmp_path / "broken"))
    unbroken = trainer("unbroken")
    unbroken.train()
    told = [[line.get("loss") for line in run.state.log_history if "loss" in line] for run in (resumed, unbroken)]
    assert told[0] == told[1]
    assert len(told[0]) == 5
    pairs = zip(resumed.model.parameters(), unbroken.model.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
