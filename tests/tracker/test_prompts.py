import pytest
import torch

from sam3_hf.tracker.prompts import Clicks, ObjectPrompts

IMAGES = torch.zeros(2, 32, 12, 12)


def test_rows_are_the_objects_of_one_image_after_the_other() -> None:
    points = torch.arange(12.0).view(2, 3, 1, 2)
    prompts = ObjectPrompts.of(IMAGES, points, None, None, None)
    assert prompts.objects == 3
    assert prompts.clicks.points.flatten().tolist() == list(range(12))
    assert prompts.clicks.labels.unique().tolist() == [1]


def test_corners_of_the_box_come_before_the_points() -> None:
    boxes = torch.tensor([[[1.0, 2, 3, 4]], [[-10, -10, -10, -10]]])
    points, labels = torch.full((2, 1, 1, 2), 7.0), torch.tensor([[[0]], [[1]]])
    clicks = ObjectPrompts.of(IMAGES, points, labels, boxes, None).clicks
    assert clicks.labels.tolist() == [[2, 3, 0], [-10, -10, 1]]
    assert clicks.points[0].tolist() == [[1, 2], [3, 4], [7, 7]]


def test_absence_is_no_points() -> None:
    assert Clicks.none(3, torch.device("cpu")).points.shape == (3, 0, 2)
    nothing = ObjectPrompts.of(IMAGES, None, None, None, None)
    assert (nothing.objects, nothing.masks, nothing.clicks.labels.shape) == (1, None, (2, 0))


@pytest.mark.parametrize(("shape", "rows"), [((2, 8, 8), 3), ((2, 1, 8, 8), 3), ((2, 3, 8, 8), 3)])
def test_masks_are_one_per_object_or_one_per_image(shape: tuple[int, ...], rows: int) -> None:
    masks = torch.randn(shape)
    prompts = ObjectPrompts.of(IMAGES, torch.zeros(2, 3, 1, 2), None, None, masks)
    assert prompts.masks.shape == (6, 1, 8, 8)
    assert prompts.masks[rows, 0].equal(masks[1] if masks.ndim == 3 else masks[1, 0])
