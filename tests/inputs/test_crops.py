import pytest
import torch

from sam3_hf.inputs.crops import crops_of, near_crop_edge, point_grid


def test_points_are_in_the_middle_of_equal_cells() -> None:
    assert point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


@pytest.mark.parametrize("size", [(100, 100), (70, 300), (301, 97)])
def test_every_layer_covers_the_image(size: tuple[int, int]) -> None:
    crops = crops_of(size, 2, 512 / 1500)
    assert [sum(crop.layer == layer for crop in crops) for layer in range(3)] == [1, 4, 16]
    for layer in range(3):
        seen = torch.zeros(size, dtype=torch.bool)
        for (x1, y1, x2, y2), _ in (crop for crop in crops if crop.layer == layer):
            assert 0 <= x1 < x2 <= size[1]
            assert 0 <= y1 < y2 <= size[0]
            seen[y1:y2, x1:x2] = True
        assert seen.all()


def test_a_crop_knows_its_size() -> None:
    assert crops_of((30, 50), 0, 0.3)[0].size == (30, 50)


def test_objects_cut_by_their_crop_are_told_from_those_at_the_image_edge() -> None:
    boxes = torch.tensor([[0.0, 0, 30, 30], [30, 30, 95, 60], [30, 30, 60, 60]])
    assert near_crop_edge(boxes, (0, 0, 100, 100), (200, 200), tolerance=10).tolist() == [False, True, False]
    assert not near_crop_edge(boxes, (0, 0, 100, 100), (100, 100), tolerance=10).any()
