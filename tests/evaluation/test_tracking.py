import math

import numpy as np
import pytest
import torch
from skimage.morphology import dilation, disk
from tests.support.masks import blobs

from sam3_hf.evaluation.tracking import contour_accuracy, outline, region_similarity, tracking_scores
from sam3_hf.ops.masks import encode_rle


@pytest.fixture(scope="module")
def videos():
    """Two objects of six frames, with wavy outlines, and the same moved by two pixels and grown."""
    right = (blobs(12, 90, 130) > 0).numpy().reshape(2, 6, 90, 130)
    found = np.roll(right, (1, 2), axis=(2, 3)) | np.roll(right, 3, axis=3)
    found[0, 2] = False
    return found, right


def outline_by_hand(mask):
    """The definition, pixel by pixel."""
    result = np.zeros_like(mask)
    height, width = mask.shape
    for y in range(height):
        for x in range(width):
            below, right = min(y + 1, height - 1), min(x + 1, width - 1)
            result[y, x] = len({mask[y, x], mask[below, x], mask[y, right], mask[below, right]}) > 1
    return result


def f_by_hand(found, right):
    """The definition, with the disk painted around each pixel."""
    found, right = outline_by_hand(found), outline_by_hand(right)
    if not found.any() or not right.any():
        return float(found.any() == right.any())
    brush = disk(math.ceil(0.008 * math.hypot(*found.shape)))
    precision = (found & dilation(right, brush)).sum() / found.sum()
    recall = (right & dilation(found, brush)).sum() / right.sum()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


def test_outlines_are_where_neighbours_differ(videos):
    for mask in (*videos[1][0], np.ones((4, 5), bool), np.zeros((4, 5), bool)):
        assert np.array_equal(outline(mask), outline_by_hand(mask))


def test_f_equals_the_definition(videos):
    found, right = videos
    expected = [f_by_hand(*frame) for frame in zip(found[0], right[0], strict=True)]
    assert contour_accuracy(found[0], right[0]) == pytest.approx(expected, abs=1e-12)
    assert len(set(expected)) == 6
    assert expected[2] == 0


def test_j_is_the_iou_of_regions(videos):
    found, right = videos
    expected = [(a & b).sum() / (a | b).sum() if (a | b).any() else 1 for a, b in zip(found[1], right[1], strict=True)]
    assert region_similarity(found[1], right[1]) == pytest.approx(expected, abs=1e-12)


def test_scores_are_means_over_frames_and_then_objects(videos):
    found, right = videos
    scores = tracking_scores({"a": found[0], "b": found[1]}, {"a": right[0], "b": right[1]})
    j = [region_similarity(found[i, 1:-1], right[i, 1:-1]).mean() for i in range(2)]
    f = [contour_accuracy(found[i, 1:-1], right[i, 1:-1]).mean() for i in range(2)]
    assert scores.objects == {"a": (j[0], f[0]), "b": (j[1], f[1])}
    assert (scores.j, scores.f) == (np.mean(j), np.mean(f))
    assert scores.j_and_f == pytest.approx((scores.j + scores.f) / 2)
    every = tracking_scores({"a": found[0]}, {"a": right[0]}, skip_ends=False)
    assert every.j == region_similarity(found[0], right[0]).mean()


def test_run_length_codes_and_tensors_say_the_same(videos):
    found, right = videos
    codes = [encode_rle(torch.from_numpy(mask)) if mask.any() else None for mask in found[0]]
    assert codes[2] is None
    expected = tracking_scores({1: found[0]}, {1: right[0]})
    assert tracking_scores({1: codes}, {1: torch.from_numpy(right[0])}) == expected


def test_perfect_masks_score_one_and_lost_objects_nothing(videos):
    right = videos[1]
    assert tracking_scores({1: right[0]}, {1: right[0]})[:2] == (1, 1)
    assert tracking_scores({}, {1: right[0]})[:2] == (0, 0)
    assert tracking_scores({1: [None] * 6}, {1: right[0]})[:2] == (0, 0)


def test_saying_rightly_that_an_object_is_hidden_scores_one():
    empty = np.zeros((3, 20, 20), bool)
    assert tracking_scores({1: empty}, {1: empty})[:2] == (1, 1)


@pytest.mark.parametrize(
    ("found", "right", "message"),
    [
        ({}, {}, "at least one annotated object"),
        ({1: np.zeros((5, 4, 4), bool)}, {1: np.zeros((6, 4, 4), bool)}, "Object 1: found masks"),
        ({1: np.zeros((2, 4, 4), bool)}, {1: np.zeros((2, 4, 4), bool)}, "pass skip_ends=False"),
        ({1: np.zeros((3, 4, 4))}, {1: np.zeros((3, 4, 4), bool)}, "booleans"),
        ({}, {1: [None, None, None]}, "does not say its size"),
    ],
)
def test_what_cannot_be_judged_is_refused(found, right, message):
    with pytest.raises(ValueError, match=message):
        tracking_scores(found, right)
