import pytest
import torch
from tests.support.video_heuristics import array

from sam3_hf.video.detections import Detections, choose, join


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.3, 0.7])
def test_the_original_keeps_the_same_detections(overlap: float) -> None:
    kept = choose(array("function.nms.scores"), array("function.nms.masks"), 0.5, overlap)
    assert kept.equal(array(f"function.nms.keep.prob0.5.iou{overlap}").bool())


def test_without_a_limit_on_overlap_every_sure_detection_stays() -> None:
    scores = array("function.nms.scores")
    assert choose(scores, array("function.nms.masks"), 0.5, None).equal(scores > 0.5)


def test_detections_of_several_phrases_stand_one_after_the_other() -> None:
    like = torch.zeros(1, 6, 6)
    one = Detections(torch.ones(1), torch.zeros(1, 4), like, [3])
    both = join([one, Detections.none(like), one._replace(phrases=[5])])
    assert both.phrases == [3, 5]
    assert both.logits.shape == (2, 6, 6)
