from dataclasses import replace

import pytest
import torch
from PIL import Image
from tests.support import tracker_golden as recorded

from sam3_hf.ops.masks import boxes_of_masks
from sam3_hf.ops.nms import box_iou
from sam3_hf.pipelines.everything import EverythingSettings, FoundMask, segment_everything

ALL = EverythingSettings(
    points_per_side=4,
    points_per_batch=5,
    pred_iou_thresh=-1.0,
    stability_score_thresh=-1.0,
    box_nms_thresh=1.0,
    crops_nms_thresh=1.0,
)


@pytest.fixture
def image() -> Image.Image:
    with Image.open(recorded.IMAGE) as opened:
        return opened.convert("RGB")


def find(image: Image.Image, settings: EverythingSettings) -> list[FoundMask]:
    return segment_everything(recorded.shared_model(), recorded.tiny_processor(), image, settings)


def test_without_filters_every_point_gives_its_masks(image: Image.Image) -> None:
    found = find(image, ALL)
    assert len(found) == 4 * 4 * 3
    assert [mask.score for mask in found] == sorted((mask.score for mask in found), reverse=True)
    first = found[0]
    inputs = recorded.tiny_processor()(image, input_points=[[[first.point]]], return_tensors="pt")
    with torch.no_grad():
        outputs = recorded.shared_model()(**inputs)
    masks = recorded.tiny_processor().post_process_masks(outputs.pred_masks, [recorded.SIZE], max_hole_area=0)[0][0]
    which = (outputs.iou_scores[0, 0] - first.score).abs().argmin()
    assert (masks[which] != first.mask).float().mean() < 0.001


def test_boxes_are_those_of_the_masks(image: Image.Image) -> None:
    for found in find(image, ALL)[:5]:
        assert found.rle["size"] == list(recorded.SIZE)
        assert found.box == tuple(boxes_of_masks(found.mask[None])[0].tolist())


def test_batches_change_nothing(image: Image.Image) -> None:
    some = replace(ALL, box_nms_thresh=0.8)
    one, other = find(image, some), find(image, replace(some, points_per_batch=16))
    assert [mask.point for mask in one] == [mask.point for mask in other]


def test_each_filter_leaves_out_what_it_should(image: Image.Image) -> None:
    scores = sorted(mask.score for mask in find(image, ALL))
    middle = scores[len(scores) // 2]
    assert min(mask.score for mask in find(image, replace(ALL, pred_iou_thresh=middle))) > middle
    steady = sorted(mask.stability for mask in find(image, ALL))[24]
    assert min(mask.stability for mask in find(image, replace(ALL, stability_score_thresh=steady))) > steady
    assert find(image, replace(ALL, pred_iou_thresh=1.0)) == []


def test_duplicates_leave(image: Image.Image) -> None:
    boxes = torch.tensor([mask.box for mask in find(image, replace(ALL, crops_nms_thresh=0.6))]).float()
    assert box_iou(boxes, boxes).fill_diagonal_(0).max() <= 0.6


def test_crops_look_closer(image: Image.Image) -> None:
    model, seen = recorded.shared_model(), []
    handle = model.vision_encoder.register_forward_hook(lambda *_: seen.append(1))
    found = find(image, replace(ALL, crops_n_layers=1, crop_n_points_downscale_factor=2))
    handle.remove()
    assert len(seen) == 1 + 4
    for mask in found:
        x1, y1, x2, y2 = mask.crop
        assert x1 <= mask.box[0] < mask.box[2] <= x2
        assert y1 <= mask.box[1] < mask.box[3] <= y2


def test_no_more_masks_are_asked_for_at_once_than_a_batch_has_points(image: Image.Image) -> None:
    model, seen = recorded.shared_model(), []
    handle = model.mask_decoder.register_forward_hook(lambda module, inputs, masks: seen.append(len(masks.logits)))
    find(image, ALL)
    handle.remove()
    assert max(seen) == 5


def test_nothing_is_found_by_default_in_what_a_random_model_sees(image: Image.Image) -> None:
    assert find(image, EverythingSettings(points_per_side=2)) == []
