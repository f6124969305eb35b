import pytest
import torch

from sam3_hf.inputs.boxes import pad_boxes

BOX = [10, 20, 30, 60]
PAD = [-10, -10, -10, -10]
SIZE = (100, 200)
RELATIVE = [0.1, 0.4, 0.1, 0.4]


def test_boxes_become_relative_to_their_own_image():
    boxes, labels = pad_boxes([[BOX], [BOX]], None, [SIZE, (200, 100)], -10)
    torch.testing.assert_close(boxes, torch.tensor([[RELATIVE], [[0.2, 0.2, 0.2, 0.2]]]))
    assert labels.tolist() == [[1], [1]]


def test_ragged_rows_are_padded_on_the_right():
    boxes, labels = pad_boxes([[BOX, BOX], None, [BOX]], [[1, 0], None, [0]], [SIZE] * 3, -10)
    assert boxes.shape == (3, 2, 4)
    assert labels.tolist() == [[1, 0], [-10, -10], [0, -10]]
    assert boxes[1].eq(-10).all()


def test_padding_that_is_passed_stays_padding_and_moves_to_the_right():
    boxes, labels = pad_boxes([[PAD, BOX]], None, [SIZE], -10)
    torch.testing.assert_close(boxes, torch.tensor([[RELATIVE, PAD]]))
    assert labels.tolist() == [[1, -10]]


def test_a_label_can_make_a_box_padding():
    boxes, labels = pad_boxes([[BOX, BOX]], [[-10, 0]], [SIZE], -10)
    torch.testing.assert_close(boxes, torch.tensor([[RELATIVE, PAD]]))
    assert labels.tolist() == [[0, -10]]


def test_boxes_may_reach_outside_and_be_flat():
    boxes, _ = pad_boxes([[[-20, 0, 220, 0]]], None, [SIZE], -10)
    torch.testing.assert_close(boxes, torch.tensor([[[0.5, 0, 1.2, 0]]]))


def test_no_boxes_at_all_are_an_empty_tensor():
    boxes, labels = pad_boxes([None, []], None, [SIZE] * 2, -10)
    assert (boxes.shape, labels.shape) == ((2, 0, 4), (2, 0))


@pytest.mark.parametrize(
    ("row", "labels", "message"),
    [
        (BOX, None, "3 levels"),
        ([[BOX]], None, "3 levels"),
        ([[1, 2, 3]], None, "3 levels"),
        ([[1, 2, 3, "4"]], None, "3 levels"),
        ([[1, 2, 3, None]], None, "3 levels"),
        (7, None, "3 levels"),
        ([[30, 20, 10, 60]], None, "x1 <= x2"),
        ([[10, 60, 30, 20]], None, "y1 <= y2"),
        ([[10, 20, float("nan"), 60]], None, "finite"),
        ([[10, 20, float("inf"), 60]], None, "finite"),
        ([BOX], [1, 1], "one label"),
        ([BOX], 1, "one label"),
        (None, [1], "one label"),
        ([BOX], [2], "A label is 1"),
        ([BOX], [None], "A label is 1"),
        ([PAD], [1], "needs the label -10"),
    ],
)
def test_bad_boxes_and_labels_are_refused(row, labels, message):
    with pytest.raises(ValueError, match=message):
        pad_boxes([row], None if labels is None else [labels], [SIZE], -10)
