"""A GPU gives the numbers that a CPU gives: `pytest -m gpu` on a machine with CUDA. All else runs without one."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from sam3_hf import (
    Sam3Model,
    Sam3Processor,
    Sam3TrackerVideoProcessor,
    Sam3VideoModel,
    Sam3VideoProcessor,
    embedded,
)
from sam3_hf.datasets.shapes.clips import ShapesClips
from sam3_hf.ops.components import components, small_areas
from sam3_hf.ops.nms import nms
from sam3_hf.ops.products import fuses_gelu, linear_gelu
from tests.support import golden, tracker_golden, video_golden
from tests.support.labels import BATCHES
from tests.support.tolerances import ORIGINAL, TRACKER_ORIGINAL, VIDEO_ORIGINAL
from tests.test_training_loss import without_dropout

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "shapes.jpg"
PHRASES = ["red circle", "blue object", "triangle", "green star"]


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions in float32 are float32, as products are."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def found_on_cpu() -> list[dict[str, torch.Tensor]]:
    return find(shapes())


def shapes(**options: Any) -> Sam3Model:
    return Sam3Model.from_pretrained(embedded("shapes"), **options).eval()


def find(model: Any, device: str = "cpu") -> list[dict[str, torch.Tensor]]:
    """What the embedded model finds in a picture, on the CPU."""
    processor = Sam3Processor.from_pretrained(embedded("shapes"))
    inputs = processor(images=Image.open(PICTURE), text=PHRASES, return_tensors="pt").to(device)
    with torch.inference_mode():
        outputs = model(**inputs)
    sizes = inputs["original_sizes"]
    found = processor.post_process_instance_segmentation(outputs, threshold=0.5, target_sizes=sizes)
    return [{name: values.cpu() for name, values in each.items() if torch.is_tensor(values)} for each in found]


def assert_same_objects(found: list, expected: list, overlap: float) -> None:
    """As many objects of every phrase, in the same order, and masks that overlap at least so much."""
    for one, other in zip(found, expected, strict=True):
        assert len(one["scores"]) == len(other["scores"])
        masks = one["masks"].bool(), other["masks"].bool()
        shared, either = ((masks[0] & masks[1]).sum((1, 2)), (masks[0] | masks[1]).sum((1, 2)))
        assert (shared / either >= overlap).all(), shared / either


def on_gpu(values: Any) -> Any:
    return {name: value.cuda() if torch.is_tensor(value) else value for name, value in values.items()}


@pytest.mark.parametrize("backend", ["tiled", "eager"])
@pytest.mark.parametrize("name", golden.CASES)
def test_images_equal_the_original(name: str, backend: str) -> None:
    model = golden.tiny_model().cuda()
    model.set_attn_implementation(backend)
    case = golden.case(name)
    with torch.no_grad():
        outputs = model(**on_gpu(case.inputs))
    for key, tolerance in ORIGINAL.items():
        expected = case.outputs["pred_boxes_xyxy" if key == "pred_boxes" else key]
        torch.testing.assert_close(getattr(outputs, key).cpu(), expected, rtol=0, atol=tolerance, msg=key)


@pytest.mark.parametrize("name", tracker_golden.CASES)
def test_clicks_equal_the_original(name: str) -> None:
    case = tracker_golden.case(name)
    with torch.no_grad():
        outputs = tracker_golden.tiny_model().cuda()(**on_gpu(case.inputs), multimask_output=case.several)
    expected = case.outputs | {"pred_masks": case.outputs["low_res_masks"]}
    for key, tolerance in TRACKER_ORIGINAL.items():
        torch.testing.assert_close(getattr(outputs, key)[0].cpu(), expected[key], rtol=0, atol=tolerance, msg=key)


def test_many_prompts_a_few_at_a_time_need_less_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model, side = shapes(dtype=torch.bfloat16).cuda(), 192
    pixels = torch.randn(1, 3, side, side, device="cuda", dtype=torch.bfloat16)
    text = Sam3Processor.from_pretrained(embedded("shapes"))(text=["red circle"] * 64, return_tensors="pt").to("cuda")
    texts = {name: text[name] for name in ("input_ids", "attention_mask")}
    index = torch.zeros(64, dtype=torch.long, device="cuda")
    peaks = []
    for rows in (64, 64, 8):  # the first one warms up
        monkeypatch.setattr("sam3_hf.ops.products._ON_GPU", rows)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        with torch.inference_mode():
            model(pixel_values=pixels, image_index=index, **texts)
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[2] < 0.8 * peaks[1]


def test_objects_are_followed_as_on_a_cpu() -> None:
    seen = {}
    for device in ("cpu", "cuda"):
        model, session = video_golden.tracker().to(device), video_golden.session(inference_device=device)
        points: Any = [[[[20.0, 30.0]], [[60.0, 40.0]]]]
        video_golden.processor().add_inputs_to_inference_session(session, 0, [1, 2], input_points=points)
        seen[device] = [each.pred_masks.cpu() for each in model.propagate_in_video_iterator(session)]
    for number, (one, other) in enumerate(zip(seen["cpu"], seen["cuda"], strict=True)):
        strays = ((one > 0) != (other > 0)).float().mean()
        assert strays <= VIDEO_ORIGINAL["pixels"], f"frame {number}: {strays}"


def test_values_narrower_than_keys_are_widened_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    attention: Any = video_golden.tracker().to("cuda", torch.bfloat16).memory_attention.layers[0].cross_attn_image
    width = attention.v_proj.in_features
    query, key, value = (
        torch.randn(2, 1, n, c, device="cuda").bfloat16() for n, c in ((49, 32), (98, 32), (98, width))
    )
    with torch.no_grad():
        narrow = attention._average(query, key, value[:, 0], None)
        monkeypatch.setattr("sam3_hf.layers.attention._NARROW", (99, 0))
        wide = attention._average(query, key, value[:, 0], None)
    torch.testing.assert_close(narrow, wide, rtol=0.05, atol=0.02)


def test_gelu_in_one_step_is_closer_to_the_exact_one() -> None:
    tokens, weight, bias = torch.randn(2, 300, 256), torch.randn(512, 256) / 16, torch.randn(512) / 4
    halves = [each.cuda().bfloat16() for each in (tokens, weight, bias)]
    exact = F.gelu(F.linear(*(each.double() for each in halves)))
    with torch.no_grad():
        assert fuses_gelu(*halves[:2])
        fused, rounded = linear_gelu(*halves), F.gelu(F.linear(*halves))
    assert (fused.double() - exact).norm() < (rounded.double() - exact).norm() < 0.004 * exact.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_finds_the_same(dtype: torch.dtype, found_on_cpu: list) -> None:
    assert_same_objects(find(shapes(dtype=dtype).cuda(), "cuda"), found_on_cpu, overlap=0.93)


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_models_find_the_same(mode: str) -> None:
    # In a process of its own, where shapes are not checked: checks cannot be compiled.
    program = "import sys; from tests.test_gpu import compiled; compiled(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, mode], cwd=ROOT, check=True)


def compiled(mode: str) -> None:
    """A compiled model beside the CPU, also when CUDA graphs are replayed."""
    torch.backends.cudnn.allow_tf32 = False
    model = shapes().cuda()
    model.compile(mode=mode, fullgraph=True)
    expected = find(shapes())
    for _ in range(3):
        torch.compiler.cudagraph_mark_step_begin()
        assert_same_objects(find(model, "cuda"), expected, overlap=0.99)


def test_a_forward_does_not_wait_for_the_gpu() -> None:
    model, case = golden.tiny_model().cuda(), golden.case("text_only")
    inputs = on_gpu(case.inputs)
    text = model.get_text_features(inputs["input_ids"], inputs["attention_mask"])
    inputs = {"pixel_values": inputs["pixel_values"][:1], "text_embeds": text}
    with torch.no_grad(), no_waits():
        model(**inputs)


class no_waits:
    """A block in which waiting for the GPU is an error."""

    def __enter__(self) -> None:
        torch.cuda.synchronize()
        with warnings.catch_warnings():  # PyTorch says that it may overlook some
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode("error")

    def __exit__(self, *_: object) -> None:
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture(scope="module")
def clip() -> Any:
    return ShapesClips(1020, 40, 6)[8]


def follow(clip: Any, device: str) -> Iterator[dict[str, Any]]:
    """Phrases of a clip, followed; the session moves from the CPU to the device after two frames."""
    model = Sam3VideoModel.from_pretrained(embedded("shapes")).eval()
    processor = Sam3VideoProcessor.from_pretrained(embedded("shapes"))
    session = processor.init_video_session(list(clip.frames), inference_device="cpu")
    processor.add_text_prompt(session, [prompt.text for prompt in clip.prompts])
    for number in range(len(clip.frames)):
        if number == 2:
            model, session = model.to(device), session.to(device)
        yield processor.postprocess_outputs(session, model(session, frame_idx=number))


def test_phrases_are_followed_as_on_a_cpu_and_sessions_move_to_it(clip: Any) -> None:
    for one, other in zip(follow(clip, "cpu"), follow(clip, "cuda"), strict=True):
        assert one["object_ids"].tolist() == other["object_ids"].tolist()
        shared = (one["masks"].bool() & other["masks"].cpu().bool()).sum((1, 2))
        either = (one["masks"].bool() | other["masks"].cpu().bool()).sum((1, 2))
        assert (shared >= 0.98 * either).all()


def test_masks_are_taken_apart_and_suppressed_as_on_a_cpu() -> None:
    masks = torch.rand(5, 61, 47) < 0.4
    ours, theirs = components(masks.cuda()), components(masks)
    assert ours.labels.cpu().equal(theirs.labels)
    assert ours.areas.cpu().equal(theirs.areas)
    assert small_areas(masks.cuda(), 9).cpu().equal(small_areas(masks, 9))
    corner = torch.rand(300, 2)
    boxes, scores = torch.cat([corner, corner + 0.3 * torch.rand(300, 2)], 1), torch.rand(300)
    assert nms(boxes.cuda(), scores.cuda(), 0.4).cpu().equal(nms(boxes, scores, 0.4))


def test_training_is_the_same() -> None:
    losses, gradients = {}, {}
    labels = BATCHES["boxes and masks"]
    for device in ("cpu", "cuda"):
        model = without_dropout(golden.tiny_model()).to(device)
        inputs = golden.case("batch_text").inputs
        inputs = {name: value.to(device) for name, value in inputs.items()}
        torch.manual_seed(0)
        outputs = model(**inputs, labels=labels)
        outputs.loss.backward()
        losses[device] = outputs.loss.detach().cpu()
        gradients[device] = model.detr_decoder.query_embed.weight.grad.cpu()
    torch.testing.assert_close(losses["cuda"], losses["cpu"], rtol=2e-4, atol=0)
    torch.testing.assert_close(gradients["cuda"], gradients["cpu"], rtol=1e-2, atol=1e-4)


def test_a_clip_of_shown_objects_is_learned_from_on_the_gpu(clip: Any) -> None:
    from sam3_hf import Sam3TrackerVideoModel
    from sam3_hf.training.tracking import TrackerLearner
    from sam3_hf.training.tracking_collator import TrackingCollator

    images = Sam3TrackerVideoProcessor(Sam3VideoProcessor.from_pretrained(embedded("shapes")).image_processor)
    batch = TrackingCollator(images.image_processor, frames=3, mask_size=64)([clip])
    losses = {}
    for device in ("cpu", "cuda"):
        learner = TrackerLearner(Sam3TrackerVideoModel.from_pretrained(embedded("shapes"))).to(device).train()
        said = learner(**{name: each.to(device) if torch.is_tensor(each) else each for name, each in batch.items()})
        said["loss"].backward()
        losses[device] = said["loss"].detach().cpu()
    torch.testing.assert_close(losses["cuda"], losses["cpu"], rtol=1e-2, atol=1e-3)
