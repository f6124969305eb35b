import pytest
import torch
from torchvision import ops

from sam3_hf.ops.nms import box_areas, box_iou, kept_above, nms


def boxes(count: int) -> torch.Tensor:
    corner = torch.rand(count, 2)
    return torch.cat([corner, corner + torch.rand(count, 2) * 0.3], 1)


@pytest.mark.parametrize("count", [0, 1, 40, 1500])
@pytest.mark.parametrize("threshold", [0.0, 0.4, 1.0])
def test_the_boxes_that_stay_are_those_of_torchvision(count: int, threshold: float) -> None:
    some, scores = boxes(count), torch.rand(count)
    assert nms(some, scores, threshold).equal(ops.nms(some, scores, threshold))


def test_a_box_that_leaves_suppresses_nothing() -> None:
    chain = torch.tensor([[0.0, 0, 10, 1], [4, 0, 14, 1], [8, 0, 18, 1]])
    assert nms(chain, torch.tensor([0.9, 0.8, 0.7]), 0.3).tolist() == [0, 2]


def test_equal_scores_keep_their_order() -> None:
    twice = boxes(1).repeat(2, 1)
    assert nms(twice, torch.ones(2), 0.5).tolist() == [0]


def test_overlaps_equal_those_of_torchvision() -> None:
    ones, others = boxes(20), boxes(30)
    torch.testing.assert_close(box_iou(ones, others), ops.box_iou(ones, others))


def test_empty_boxes_overlap_nothing() -> None:
    empty = torch.tensor([[1.0, 1, 1, 1], [3, 3, 2, 2]])
    assert not box_iou(empty, empty).any()
    assert box_areas(empty).tolist() == [0, 0]


def test_what_is_not_sure_enough_suppresses_nothing() -> None:
    some, scores = boxes(60), torch.rand(60)
    above = (scores > 0.4).nonzero().flatten()
    expected = torch.zeros(60, dtype=torch.bool)
    expected[above[ops.nms(some[above], scores[above], 0.3)]] = True
    assert kept_above(scores, some, 0.4, 0.3).equal(expected)
    assert kept_above(scores, some, 0.4, None).equal(scores > 0.4)
    assert kept_above(scores, some, 0.4, 1.0).equal(scores > 0.4)
    assert not kept_above(scores, some, 1.0, 0.3).any()
