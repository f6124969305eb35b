import dataclasses

import pytest
import torch

from sam3_hf.benchmarking.models import build
from sam3_hf.benchmarking.settings import Settings
from sam3_hf.benchmarking.steps import OURS, PLAIN, STEPS, THEIRS, Steps, compile_model

SETTINGS = Settings(tiny=True, picture=(60, 80), objects=3, against=("transformers", "plain"))


@pytest.fixture(scope="module")
def subject():
    return build(SETTINGS)


@pytest.fixture(scope="module")
def steps(subject):
    return Steps(subject, SETTINGS, prompts=2)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_runs_on_every_side(steps, step):
    sides = steps.sides(step)
    assert next(iter(sides)) == OURS
    assert (THEIRS in sides) == (step != "postprocess-rle")
    assert (PLAIN in sides) == (step == "forward")
    for call in sides.values():
        call()


def test_both_sides_do_the_same_work(steps):
    values = {side: call() for side, call in steps.sides("encoder").items()}
    theirs = values[THEIRS].last_hidden_state
    assert values[OURS].shape == theirs.shape == (2, 144, 32)
    levels = [call().fpn_hidden_states[2] for call in steps.sides("vision").values()]
    torch.testing.assert_close(levels[0], levels[1], atol=1e-4, rtol=0)
    pixels = [call()["pixel_values"] for call in steps.sides("preprocess").values()]
    torch.testing.assert_close(pixels[0], pixels[1], atol=2.01 / 255, rtol=0)
    found = [call()[0]["scores"] for call in steps.sides("postprocess").values()]
    assert len(found[0]) == len(found[1]) == 3


def test_prompts_and_images_are_counted(subject):
    outputs = Steps(subject, SETTINGS, images=2, prompts=3).sides("forward")[OURS]()
    assert outputs.pred_logits.shape == (6, 20)
    assert outputs.image_index.tolist() == [0, 0, 0, 1, 1, 1]


def test_the_size_of_the_input_can_be_chosen():
    chosen = build(Settings(tiny=True, image_size=84))
    assert Steps(chosen, SETTINGS).sides("vision")[THEIRS]().fpn_hidden_states[2].shape[-2:] == (6, 6)
    with pytest.raises(ValueError, match="multiple of 14; got 100"):
        build(Settings(tiny=True, image_size=100))


def test_the_model_and_every_part_can_be_compiled(subject, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, mode: compiled.append((type(module).__name__, mode)))
    Steps(subject, dataclasses.replace(SETTINGS, compile="max-autotune")).theirs  # noqa: B018
    theirs, compiled[:] = list(compiled), []
    compile_model(subject.model, "max-autotune")
    assert len(compiled) == len(theirs) == 7
    assert {mode for _, mode in compiled + theirs} == {"max-autotune"}
