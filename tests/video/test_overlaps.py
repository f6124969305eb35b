import torch
from tests.support.video_heuristics import array

from sam3_hf.video.overlaps import mask_iou, without_contested, without_hidden, without_overlap


def test_overlap_of_masks_is_that_of_the_original() -> None:
    masks = array("function.nms.masks") > 0
    assert torch.allclose(mask_iou(masks[:7], masks), array("function.mask_iou"), atol=1e-6, rtol=0)


def test_every_pixel_stays_with_one_object() -> None:
    logits = array("function.shrinkage.input")[:, 0]
    assert without_overlap(logits).equal(array("function.pixel_non_overlap.output")[:, 0])


def test_objects_hidden_by_others_are_erased_and_the_others_kept_whole() -> None:
    logits = array("function.shrinkage.input")[:, 0]
    assert without_hidden(logits, [0] * len(logits)).equal(array("function.shrinkage.output")[:, 0])


def test_objects_of_different_phrases_hide_nothing_of_each_other() -> None:
    logits = array("function.shrinkage.input")[:, 0]
    assert without_hidden(logits, list(range(len(logits)))).equal(logits)


def test_groups_are_judged_each_on_its_own_and_may_be_none() -> None:
    logits = array("function.shrinkage.input")[:, 0]
    both = without_hidden(logits.repeat(2, 1, 1), [0] * len(logits) + [1] * len(logits))
    assert both.equal(array("function.shrinkage.output")[:, 0].repeat(2, 1, 1))
    assert without_hidden(logits[:0], []).shape == logits[:0].shape


def test_of_equal_logits_the_first_keeps_the_pixel() -> None:
    logits = torch.ones(3, 2, 2)
    assert without_overlap(logits).equal(torch.tensor([1.0, -10, -10])[:, None, None].expand(3, 2, 2))
    assert without_hidden(logits, [0, 0, 0]).equal(without_overlap(logits))


def test_contested_pixels_go_to_the_best_score() -> None:
    masks, scores = array("function.shrinkage.input")[:, 0] > 0, array("function.object_non_overlap.scores")[:, 0]
    kept = without_contested(masks, scores, [0] * len(masks))
    assert kept.equal(array("function.object_non_overlap.output")[:, 0].bool())


def test_a_single_object_keeps_its_pixels_whatever_its_score() -> None:
    masks = torch.ones(1, 4, 4, dtype=torch.bool)
    assert without_contested(masks, torch.tensor([-1.0]), [0]).equal(masks)


def test_phrases_may_share_pixels_where_that_is_wanted() -> None:
    masks = torch.ones(2, 4, 4, dtype=torch.bool)
    assert without_contested(masks, torch.tensor([0.5, 0.9]), [0, 1]).all()
    assert not without_contested(masks, torch.tensor([0.5, 0.9]), [0, 0])[0].any()
