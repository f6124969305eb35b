import numpy as np
import pytest
import torch
from skimage.measure import label
from tests.support.masks import blobs

from sam3_hf.ops.components import components, small_areas, small_components, tidy


def reference(mask: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    labels = label(mask.numpy(), connectivity=2)
    areas = np.bincount(labels.ravel())[labels]
    areas[labels == 0] = 0
    return labels, areas


def assert_same_partition(ours: torch.Tensor, theirs: np.ndarray) -> None:
    pairs = set(zip(ours.flatten().tolist(), theirs.ravel().tolist(), strict=True))
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})
    assert (ours == 0).numpy().tolist() == (theirs == 0).tolist()


@pytest.mark.parametrize("share", [0, 0.05, 0.3, 0.45, 0.6, 0.9, 1])
def test_components_equal_those_of_scikit_image(share: float) -> None:
    masks = torch.rand(4, 37, 29) < share
    found = components(masks)
    for number, mask in enumerate(masks):
        labels, areas = reference(mask)
        assert_same_partition(found.labels[number], labels)
        assert found.areas[number].tolist() == areas.tolist()


@pytest.mark.parametrize("most", [1, 2, 3, 16, 200, 10000])
@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.4, 0.5, 1])
def test_small_areas_are_those_of_scikit_image(share: float, most: int) -> None:
    masks = torch.rand(3, 31, 26) < share
    expected = torch.stack([torch.from_numpy(reference(mask)[1]) for mask in masks])
    assert small_areas(masks, most).equal(torch.where(expected <= most, expected, 0))


def test_a_large_component_in_pieces_is_not_taken_for_small_ones() -> None:
    # So long a snake, one pixel wide, is not followed to its end.
    snake = torch.zeros(64, 64, dtype=torch.bool)
    snake[::2] = True
    snake[1::4, -1] = snake[3::4, 0] = True
    assert components(snake[None]).labels.max() == 1
    assert not small_areas(snake[None], 16).any()
    assert not small_areas(torch.zeros(0, 4, 4, dtype=torch.bool), 16).any()


def test_numbers_go_on_from_mask_to_mask_without_gaps() -> None:
    labels = components(torch.rand(5, 20, 20) < 0.3).labels
    assert labels.unique().tolist() == list(range(int(labels.max()) + 1))


def spiral(side: int) -> torch.Tensor:
    mask = torch.zeros(side, side, dtype=torch.bool)
    for ring in range(0, side // 2, 2):
        mask[ring, max(ring - 2, 0) : side - ring] = True
        mask[ring : side - ring, side - 1 - ring] = True
        mask[side - 1 - ring, ring : side - ring] = True
        mask[ring + 2 : side - ring, ring] = True
    return mask


def test_a_long_winding_component_is_one() -> None:
    assert components(spiral(101)[None]).labels.max() == 1


def test_diagonal_neighbours_touch_and_edges_do_not_wrap() -> None:
    diagonal = torch.eye(6, dtype=torch.bool)[None]
    assert components(diagonal).labels.max() == 1
    sides = torch.zeros(2, 4, 5, dtype=torch.bool)
    sides[:, :, 0] = sides[:, :, -1] = True
    assert components(sides).labels.max() == 4


def test_no_masks_and_empty_masks_have_none() -> None:
    assert components(torch.zeros(0, 4, 4, dtype=torch.bool)).labels.shape == (0, 4, 4)
    assert not small_components(torch.zeros(2, 4, 4, dtype=torch.bool), 10).any()


def test_small_components_are_those_up_to_the_area() -> None:
    masks = torch.rand(3, 40, 40) < 0.35
    expected = torch.stack([torch.from_numpy(reference(mask)[1]) for mask in masks])
    assert small_components(masks, 7).equal((expected > 0) & (expected <= 7))


def test_holes_and_specks_are_both_looked_for_in_the_logits_as_given() -> None:
    logits = torch.full((1, 9, 9), -3.0)
    logits[0, 2:7, 2:7] = 3
    logits[0, 3:6, 3:6] = -3
    logits[0, 4, 4] = 3
    tidied = tidy(logits, 9, 1)
    assert tidied[0, 3, 3] == 10
    assert tidied[0, 4, 4] == -10
    assert tidied[0, 0, 0] == -3
    assert tidy(logits, 0, 0) is logits


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_tidying_a_mask_leaves_large_parts_alone(threshold: float) -> None:
    logits = blobs(3, 60, 60)
    tidied = tidy(logits, 5, 5, threshold)
    assert ((tidied > threshold) != (logits > threshold)).float().mean() < 0.2
    assert not small_components(tidied <= threshold, 5).any()
