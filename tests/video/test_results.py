import torch
from tests.support.video_heuristics import array

from sam3_hf.video.results import boxes_of


def test_boxes_end_on_the_last_pixel() -> None:
    masks = array("function.nms.masks")[[0, 1, 2, 5, 6]] > 0
    assert boxes_of(masks).float().equal(array("function.masks_to_boxes_xyxy"))
    assert boxes_of(array("function.mask_box.input")[:, 0].bool()).int().equal(array("function.mask_box.output")[:, 0])


def test_an_empty_mask_has_a_box_of_zeros() -> None:
    assert boxes_of(torch.zeros(1, 4, 4, dtype=torch.bool)).tolist() == [[0, 0, 0, 0]]
