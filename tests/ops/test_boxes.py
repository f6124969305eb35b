import pytest
import torch

from sam3_hf.ops.boxes import inverse_sigmoid, scale_boxes, to_cxcywh, to_xyxy


def test_formats_turn_into_each_other() -> None:
    boxes = torch.tensor([[0.5, 0.4, 0.2, 0.6]])
    torch.testing.assert_close(to_xyxy(boxes), torch.tensor([[0.4, 0.1, 0.6, 0.7]]))
    torch.testing.assert_close(to_cxcywh(to_xyxy(boxes)), boxes)


def test_scaling_takes_height_then_width() -> None:
    assert scale_boxes(torch.tensor([0.5, 0.5, 1.0, 1.0]), (100, 200)).tolist() == [100, 50, 200, 100]


@pytest.mark.parametrize("value", [0.001, 0.2, 0.5, 0.999])
def test_inverse_sigmoid_undoes_the_sigmoid(value: float) -> None:
    assert inverse_sigmoid(torch.tensor(value)).sigmoid().item() == pytest.approx(value, rel=1e-4)


def test_inverse_sigmoid_stays_finite_at_both_ends() -> None:
    assert inverse_sigmoid(torch.tensor([-1.0, 0.0, 1.0, 2.0])).isfinite().all()
