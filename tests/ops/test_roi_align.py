import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from sam3_hf.ops.roi_align import roi_align


def torchvision_roi_align(grid: torch.Tensor, boxes: torch.Tensor, side: int) -> torch.Tensor:
    height, width = grid.shape[-2:]
    in_cells = boxes * torch.tensor([width, height, width, height])
    pooled = torchvision.ops.roi_align(grid, list(in_cells), side)
    return pooled.unflatten(0, boxes.shape[:2])


def random_boxes(images: int, boxes: int) -> torch.Tensor:
    """Of every size from a point to far more than the image, many reaching outside."""
    centre = torch.rand(images, boxes, 2) * 1.6 - 0.3
    size = torch.rand(images, boxes, 2) ** 3 * 2.5
    return torch.cat([centre - size / 2, centre + size / 2], -1)


@pytest.mark.parametrize(("height", "width"), [(72, 72), (12, 12), (9, 20), (1, 3)])
def test_equals_torchvision_for_boxes_of_every_size(height: int, width: int) -> None:
    grid, boxes = torch.randn(3, 5, height, width), random_boxes(3, 200)
    boxes[:, :50] = (boxes[:, :50] * width).round() / width  # edges on cell borders
    expected = torchvision_roi_align(grid, boxes, 7)
    torch.testing.assert_close(roi_align(grid, boxes, 7), expected, rtol=1e-4, atol=2e-5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-3, 3, width=32), min_size=4, max_size=4), st.integers(1, 9), st.integers(1, 30))
def test_equals_torchvision_for_any_box(corners: list[float], side: int, cells: int) -> None:
    grid = torch.randn(1, 2, cells, cells, generator=torch.Generator().manual_seed(cells))
    boxes = torch.tensor([[corners]])
    expected = torchvision_roi_align(grid, boxes, side)
    torch.testing.assert_close(roi_align(grid, boxes, side), expected, rtol=1e-3, atol=1e-3)


def test_no_boxes_give_no_features() -> None:
    assert roi_align(torch.randn(2, 5, 8, 8), torch.zeros(2, 0, 4), 7).shape == (2, 0, 5, 7, 7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_differs_by_rounding_alone(dtype: torch.dtype) -> None:
    grid, boxes = torch.randn(1, 5, 12, 12), random_boxes(1, 20)
    pooled = roi_align(grid.to(dtype), boxes, 7)
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled.float(), roi_align(grid, boxes, 7), rtol=0.05, atol=0.05)


def test_gradient_reaches_the_features() -> None:
    grid = torch.randn(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor([[[0.1, 0.2, 0.7, 0.9]]])
    assert torch.autograd.gradcheck(lambda grid: roi_align(grid, boxes, 2), grid)
