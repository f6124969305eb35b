from typing import Any

import pytest
import torch

from sam3_hf.losses.targets import Targets

BOXES = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]])
MASKS = torch.zeros(2, 10, 20, dtype=torch.bool)
MASKS[0, 2:6, 5:15] = True
MASKS[1, 9, 19] = True


def of(*labels: Any) -> Targets:
    return Targets.of(list(labels), len(labels), torch.device("cpu"))


def test_objects_of_all_rows_stand_in_a_row() -> None:
    targets = of({"boxes": BOXES}, {"boxes": BOXES[:0]}, {"boxes": BOXES[:1]})
    assert targets.counts == (2, 0, 1)
    assert targets.row.tolist() == [0, 0, 2]
    assert targets.present().tolist() == [1, 0, 1]
    assert not targets.have_masks


def test_masks_alone_give_their_boxes() -> None:
    boxes = of({"masks": MASKS}).boxes_cxcywh
    torch.testing.assert_close(boxes, torch.tensor([[0.5, 0.4, 0.5, 0.4], [0.975, 0.95, 0.05, 0.1]]))
    assert of({"masks": MASKS[:0]}).boxes_cxcywh.shape == (0, 4)


def test_a_row_whose_only_box_has_no_area_counts_as_negative() -> None:
    assert of({"boxes": torch.tensor([[0.5, 0.5, 0.0, 0.3]])}).present().tolist() == [0]


def test_rows_with_and_without_masks_mix() -> None:
    targets = of({"boxes": BOXES}, {"boxes": BOXES, "masks": MASKS.byte(), "mask_valid": torch.tensor([1, 0])})
    assert targets.have_masks
    assert targets.mask_valid.tolist() == [False, False, True, False]
    assert targets.masks_of([2])[0].equal(MASKS[0].byte())
    assert targets.semantic_of(0) is None
    assert targets.semantic_of(1).equal(MASKS.any(0))


def test_negative_rows_have_no_mask_to_compare() -> None:
    assert not of({"boxes": BOXES[:0], "masks": MASKS[:0]}).have_masks


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({}, r"labels\[0\] needs 'boxes'"),
        ({"boxes": BOXES[0]}, "must be float"),
        ({"boxes": BOXES.long()}, "must be float"),
        ({"boxes": BOXES * 100}, "within 0..1"),
        ({"boxes": BOXES * float("nan")}, "within 0..1"),
        ({"boxes": BOXES.tolist()}, "must be a tensor, got list"),
        ({"boxes": BOXES, "box": BOXES}, r"unknown keys \['box'\]"),
        ({"boxes": BOXES, "masks": MASKS[:1]}, "same number of objects"),
        ({"boxes": BOXES, "masks": MASKS.float()}, "must be bool or uint8"),
        ({"boxes": BOXES, "masks": MASKS.byte() * 255}, "must hold 0 and 1"),
        ({"boxes": BOXES, "masks": MASKS[0]}, r"must be \(n, height, width\)"),
        ({"boxes": BOXES, "semantic_mask": MASKS}, r"must be \(height, width\)"),
        ({"boxes": BOXES, "masks": MASKS, "semantic_mask": MASKS[0, :5]}, "same height and width"),
        ({"masks": torch.zeros_like(MASKS)}, "is empty"),
    ],
)
def test_what_cannot_be_is_refused(label: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of(label)


@pytest.mark.parametrize("labels", [{"boxes": BOXES}, [BOXES], 3])
def test_labels_are_a_list_of_dictionaries(labels: Any) -> None:
    with pytest.raises(ValueError, match="list of dictionaries, one per prompt row"):
        Targets.of(labels, 1, torch.device("cpu"))


def test_there_is_one_dictionary_per_row() -> None:
    with pytest.raises(ValueError, match="2 rows, 1 dictionaries"):
        Targets.of([{"boxes": BOXES}], 2, torch.device("cpu"))
