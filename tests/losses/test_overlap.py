import torch
from torchvision.ops import box_iou, generalized_box_iou

from sam3_hf.losses.overlap import overlap


def some_boxes(count: int) -> torch.Tensor:
    corners = torch.rand(count, 2)
    return torch.cat([corners, corners + 0.05 + 0.5 * torch.rand(count, 2)], dim=1)


def test_overlaps_are_those_of_torchvision() -> None:
    ones, others = some_boxes(7), some_boxes(5)
    found = overlap(ones[:, None], others)
    torch.testing.assert_close(found.iou, box_iou(ones, others))
    torch.testing.assert_close(found.giou, generalized_box_iou(ones, others))


def test_boxes_without_area_share_nothing_and_have_finite_gradients() -> None:
    dot = torch.tensor([[0.5, 0.5, 0.5, 0.5]], requires_grad=True)
    found = overlap(dot, dot.detach())
    assert found.iou.item() == 0
    found.giou.sum().backward()
    assert dot.grad.isfinite().all()


def test_gradients_are_those_of_differences() -> None:
    ones, others = some_boxes(4).double().requires_grad_(), some_boxes(4).double()
    assert torch.autograd.gradcheck(lambda boxes: overlap(boxes, others), ones)
