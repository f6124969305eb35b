import numpy as np
import pytest
import torch
from tests.support.photographs import photograph

from sam3_hf.results import ImageSegmentation, Instance, Prompt, PromptResult
from sam3_hf.visualization.overlay import draw_overlay


def disc(height, width, centre, radius):
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2


def found(size, *masks, box=None):
    instances = [Instance(0.9, box or (60.0, 60.0, 140.0, 140.0), mask) for mask in masks]
    return ImageSegmentation(size, [PromptResult(Prompt("disc"), instances)])


def changed(image, segmentation):
    return (np.asarray(draw_overlay(image, segmentation)) != np.asarray(image)).any(axis=-1)


def test_only_mask_box_and_label_are_drawn():
    image = photograph(size=(300, 200))
    mask = disc(200, 300, (100, 100), 40)
    difference = changed(image, found((200, 300), mask))
    assert difference[mask.numpy()].mean() > 0.99
    y, x = difference.nonzero()
    assert (y.min(), y.max(), x.min()) >= (40, 139, 60)
    inside_box = difference[62:138, 62:138] & ~disc(200, 300, (100, 100), 44)[62:138, 62:138].numpy()
    assert inside_box.sum() == 0


def test_nothing_found_leaves_the_image_as_it_is():
    image = photograph()
    assert not changed(image, found((64, 96))).any()


def test_a_mask_is_tinted_so_that_the_image_shows_through():
    image = photograph(size=(300, 200))
    mask = disc(200, 300, (100, 100), 40)
    picture = np.asarray(draw_overlay(image, found((200, 300), mask))).astype(float)
    core = disc(200, 300, (100, 100), 30).numpy()
    before, after = np.asarray(image)[core].astype(float), picture[core]
    assert np.corrcoef(before.mean(-1), after.mean(-1))[0, 1] > 0.99
    assert 10 < np.abs(after - before).mean() < 120


def test_small_objects_stay_visible_on_large_ones():
    image = photograph(size=(300, 200))
    small, large = disc(200, 300, (100, 100), 20), disc(200, 300, (100, 100), 90)
    first = np.asarray(draw_overlay(image, found((200, 300), small, large)))
    alone = np.asarray(draw_overlay(image, found((200, 300), large)))
    assert (first != alone)[disc(200, 300, (100, 100), 12).numpy()].any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("size", [(5, 5), (5, 200), (70, 100), (2000, 31)])
@pytest.mark.parametrize("box", [(-50.0, -50.0, 5000.0, 5000.0), (0.2, 0.2, 0.3, 0.3), (-9.0, -9.0, -8.0, -8.0)])
def test_any_size_and_any_box_is_drawn(size, box):
    full, empty = torch.ones(size, dtype=torch.bool), torch.zeros(size, dtype=torch.bool)
    image = photograph(size=size[::-1])
    assert draw_overlay(image, found(size, full, empty, box=box)).size == image.size


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match="the one segmented was"):
        draw_overlay(photograph(), found((200, 300)))
