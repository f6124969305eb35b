import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sam3_hf.benchmarking.models import build
from sam3_hf.benchmarking.settings import Settings
from sam3_hf.benchmarking.steps import OURS, Steps
from sam3_hf.benchmarking.work import Load, Product, Reading, flops, work_of
from sam3_hf.configuration_sam3 import Sam3Config


@pytest.fixture(scope="module")
def steps():
    # 14 x 14 patches: windows of 6 need padding. PyTorch counts neither its fused attention nor oneDNN's own products.
    settings = Settings(tiny=True, image_size=196, attention="eager")
    return Steps(build(settings), settings)


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN:UserWarning")
@pytest.mark.parametrize("step", ["vision", "text", "geometry", "encoder", "decoder", "masks"])
def test_the_formula_counts_what_pytorch_counts(steps, step):
    call = steps.sides(step)[OURS]
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        call()
    boxes = int(step not in ("vision", "text"))
    work = work_of(steps.subject.model.config, steps.load._replace(boxes=boxes))[step]
    assert flops(work) == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_the_whole_is_its_parts():
    work = work_of(Sam3Config(), Load(rows=3, texts=3))
    assert flops(work["forward"]) == sum(flops(part) for name, part in work.items() if name != "forward")


def test_the_released_model_is_of_the_size_it_is():
    work = work_of(Sam3Config(), Load())
    assert Product(5184, 1024, 4736, 32) in work["vision"]
    assert Reading(1, 16, 5184, 5184, 64, 4) in work["vision"]
    assert Reading(9, 16, 576, 576, 64, 28) in work["vision"]
    assert 4e12 < flops(work["vision"]) < 6e12


@pytest.mark.parametrize("quantity", ["images", "texts", "rows"])
def test_work_is_linear_in_images_texts_and_prompts(quantity):
    one, two, five = (flops(work_of(Sam3Config(), Load()._replace(**{quantity: n}))["forward"]) for n in (1, 2, 5))
    assert five - one == 4 * (two - one)
