import math

import numpy as np
import pytest
import torch
from pycocotools import mask as coco
from tests.support.masks import blobs, noise
from torch.nn import functional as F

from sam3_hf.ops import masks as masks_module
from sam3_hf.ops.drawing import Samples, draw
from sam3_hf.ops.masks import (
    area_of_rle,
    binarize_at,
    boxes_of_masks,
    decode_rle,
    encode_rle,
    logit_threshold,
    mask_prompt,
    resize_logits,
    resize_smoothly,
    rle_at,
)

SOURCES = [(48, 48), (33, 57), (7, 5), (1, 1), (2, 9)]
TARGETS = [(150, 200), (121, 33), (1, 1), (20, 31), (3, 400), (48, 60), (33, 57)]


def plain(logits, size, threshold):
    return F.interpolate(logits.float()[None], size, mode="bilinear", align_corners=False)[0] > threshold


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def assert_binarized(logits: torch.Tensor, target: tuple[int, int], threshold: float, case: object = None) -> None:
    """Every pixel as by plain resizing.

    With one thread PyTorch picks another kernel, which may round a logit that is the threshold to the last bits the
    other way; there, and there alone, such ties may fall either way.
    """
    differing = binarize_at(logits, target, threshold) != plain(logits, target, threshold)
    assert torch.get_num_threads() == 1 or not differing.any(), case
    ties = resize_logits(logits, target)[differing] - threshold
    assert (ties.abs() <= 1e-6 * max(1.0, abs(threshold))).all(), case


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.usefixtures("threads")
def test_binarizing_equals_resizing_and_comparing_every_pixel(source, target):
    kinds = {
        "blobs": blobs(3, *source),
        "holes": -blobs(3, *source),
        "noise": noise(3, *source),
        "ties": noise(3, *source).sign(),
        "zeros": torch.zeros(1, *source),
        "full": torch.full((1, *source), 3.0),
    }
    for name, logits in kinds.items():
        for threshold in (0.0, logit_threshold(0.3), logit_threshold(0.9), 1.0, -1.0, 3.0, -math.inf, math.inf):
            assert_binarized(logits, target, threshold, (name, threshold))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("target", [(150, 200), (48, 60), (48, 48)])
@pytest.mark.usefixtures("threads")
def test_broken_logits_binarize_as_they_resize(value, target):
    logits = blobs(4, 48, 48).masked_fill(noise(4, 48, 48) > 2, value)
    assert_binarized(logits, target, 0.0)


@pytest.mark.usefixtures("threads")
def test_large_masks_binarize_exactly():
    logits = torch.cat([blobs(4, 288, 288), -blobs(1, 288, 288), noise(1, 288, 288)])
    assert_binarized(logits, (1000, 1333), 0.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_resized_in_float32(dtype):
    logits = blobs(3, 48, 48).to(dtype)
    assert torch.equal(binarize_at(logits, (150, 200), 0.0), plain(logits, (150, 200), 0.0))
    assert resize_logits(logits, (5, 5)).dtype == torch.float32


def test_no_masks_stay_no_masks():
    assert binarize_at(torch.zeros(0, 48, 48), (20, 30), 0.0).shape == (0, 20, 30)


def test_the_threshold_of_a_logit_is_that_of_its_probability():
    logits = torch.linspace(-5, 5, 101)
    assert torch.equal(logits > logit_threshold(0.3), logits.sigmoid() > 0.3)
    assert (logit_threshold(0), logit_threshold(0.5), logit_threshold(1)) == (-math.inf, 0, math.inf)


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_a_threshold_outside_zero_to_one_is_refused(probability):
    with pytest.raises(ValueError, match=r"0\.\.1"):
        logit_threshold(probability)


def test_boxes_are_tight_and_an_empty_mask_has_none():
    masks = torch.zeros(3, 10, 12, dtype=torch.bool)
    masks[0, 2:5, 3:9] = True
    masks[2, 9, 11] = True
    assert boxes_of_masks(masks).tolist() == [[3, 2, 9, 5], [0, 0, 0, 0], [11, 9, 12, 10]]


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.5, 0.99, 1])
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (37, 53), (200, 3)])
def test_run_lengths_are_those_of_pycocotools(size, share):
    mask = torch.rand(size, generator=torch.Generator().manual_seed(0)) < share
    code = encode_rle(mask)
    expected = coco.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))
    assert code == {"size": list(size), "counts": expected["counts"].decode()}
    assert torch.equal(decode_rle(code), mask)
    assert torch.equal(decode_rle(expected), mask)


def test_long_runs_survive_the_code():
    mask = torch.ones(3000, 4000, dtype=torch.bool)
    mask[5:2900, 100:3000] = False
    code = encode_rle(mask)
    assert coco.area(coco.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))) == mask.sum()
    assert torch.equal(decode_rle(code), mask)


def test_plain_runs_decode_too():
    assert decode_rle({"size": [2, 2], "counts": [1, 2, 1]}).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("counts", ["", "11", [5], [-1, 5], [1, 1, 1]])
def test_runs_that_do_not_fill_the_mask_are_refused(counts):
    with pytest.raises(ValueError, match="cover"):
        decode_rle({"size": [2, 2], "counts": counts})


def test_a_mask_as_a_prompt_is_sure_inside_and_outside_and_not_at_its_outline():
    mask = torch.zeros(1, 80, 80, dtype=torch.bool)
    mask[:, 22:60, 20:60] = True
    logits = mask_prompt(mask, (20, 20))
    assert logits[0, 10, 10] == 10
    assert logits[0, 0, 0] == -10
    assert -10 < logits[0, 5, 10] < 10
    assert (binarize_at(logits, (80, 80), 0.0) != mask).float().mean() < 0.02


def test_mask_prompts_of_the_right_size_stay_as_they_are():
    logits = torch.randn(2, 1, 48, 48)
    assert resize_smoothly(logits, (48, 48)) is logits
    expected = F.interpolate(logits, (12, 12), mode="bilinear", antialias=True)
    torch.testing.assert_close(resize_smoothly(logits, (12, 12)), expected)


@pytest.mark.parametrize("size", [(56, 90), (56, 12), (48, 96), (20, 96)])
def test_masks_that_grow_are_as_smooth_as_with_antialiasing(size: tuple[int, int]) -> None:
    logits = torch.randn(2, 3, 48, 48)
    expected = F.interpolate(logits, size, mode="bilinear", antialias=True)
    torch.testing.assert_close(resize_smoothly(logits, size), expected)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools and NumPy 2
@pytest.mark.parametrize("target", [(150, 200), (48, 60), (1, 1), (3, 400), (20, 31)])
def test_codes_drawn_at_image_size_are_those_of_the_dense_masks(target):
    logits = torch.cat([blobs(4, 48, 48), -blobs(3, 48, 48), noise(2, 48, 48), torch.zeros(1, 48, 48)])
    logits = torch.cat([logits, torch.full((1, 48, 48), 3.0)])
    for threshold in (0.0, logit_threshold(0.3), -math.inf, math.inf):
        masks = binarize_at(logits, target, threshold)
        codes = rle_at(logits, target, threshold)
        assert codes == [encode_rle(mask) for mask in masks]
        expected = coco.encode(np.asfortranarray(masks.permute(1, 2, 0).numpy().astype(np.uint8)))
        assert [code["counts"] for code in codes] == [code["counts"].decode() for code in expected]
        assert [area_of_rle(code) for code in codes] == coco.area(expected).tolist()


def test_columns_that_touch_at_bottom_and_top_are_one_run():
    mask = torch.zeros(4, 5, dtype=torch.bool)
    mask[2:, 1] = mask[:, 2] = mask[:2, 3] = True
    assert area_of_rle(encode_rle(mask)) == 8
    assert encode_rle(mask) == {"size": [4, 5], "counts": "686"}


def test_drawing_codes_holds_the_region_of_one_object_and_no_more(monkeypatch):
    drawn = []

    def watched(*arguments):
        drawn.append(draw(*arguments))
        return drawn[-1]

    monkeypatch.setattr(masks_module, "draw", watched)
    logits = torch.full((9, 72, 72), -5.0)
    logits[:, 10:19, 20:29] = 5
    rle_at(logits, (720, 720), 0.0)
    assert [region.pixels.size for region in drawn] == [100 * 100] * 9


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_what_is_drawn_grows_with_the_pixels_of_the_object_alone(scale):
    logits = torch.full((72, 72), -5.0)
    logits[10:19, 20:29] = 5
    side = 72 * scale
    samples = Samples.bilinear(72, side)
    assert draw(logits.numpy(), samples, samples, 0.0).pixels.size == (10 * scale) ** 2
