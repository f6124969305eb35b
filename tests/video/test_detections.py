import pytest
import torch
from tests.support.video_heuristics import array

from sam3_hf.video.detections import Detections, choose


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.3, 0.7])
def test_the_original_keeps_the_same_detections(overlap: float) -> None:
    kept = choose(array("function.nms.scores")[None], array("function.nms.masks")[None], 0.5, overlap)
    assert kept == array(f"function.nms.keep.prob0.5.iou{overlap}").nonzero()[:, 0].tolist()


def test_without_a_limit_on_overlap_every_sure_detection_stays() -> None:
    scores = array("function.nms.scores")[None]
    kept = choose(scores, array("function.nms.masks")[None], 0.5, None)
    assert kept == (scores[0] > 0.5).nonzero()[:, 0].tolist()


def test_each_of_several_phrases_keeps_what_it_keeps_alone() -> None:
    scores, masks = array("function.nms.scores"), array("function.nms.masks")
    other = scores.flip(0)
    alone = [choose(each[None], masks[None], 0.5, 0.1) for each in (scores, other)]
    both = choose(torch.stack([scores, other]), torch.stack([masks, masks]), 0.5, 0.1)
    assert both == [*alone[0], *(place + len(scores) for place in alone[1])]
    assert alone[0] != alone[1]


def test_where_nothing_is_sure_nothing_is_found() -> None:
    assert choose(torch.zeros(2, 3), torch.ones(2, 3, 4, 4), 0.5, 0.1) == []
    assert Detections.none(torch.zeros(1, 6, 5)).logits.shape == (0, 6, 5)
