import numpy as np
import pytest
import torch
from transformers.image_utils import SizeDict

from sam3_hf.inputs.sizes import read_size, read_sizes


@pytest.mark.parametrize(
    "size",
    [
        {"height": 5, "width": 7},
        {"width": 7, "height": 5, "shortest_edge": None},
        SizeDict(height=5, width=7),
        (5, 7),
        [5.0, 7],
        np.array([5, 7]),
        torch.tensor([5, 7]),
        (torch.tensor(5), np.int64(7)),
    ],
)
def test_a_size_may_come_in_many_forms(size):
    assert read_size(size, "size") == (5, 7)


def test_one_number_is_a_square():
    assert read_size(1008, "size") == (1008, 1008)


@pytest.mark.parametrize(
    "size",
    [
        0,
        -1,
        1.5,
        True,
        None,
        "5",
        (5,),
        (5, 0),
        (5, None),
        (1, 2, 3),
        {"shortest_edge": 5},
        {"height": 5},
        float("nan"),
    ],
)
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ValueError, match="mask_size is"):
        read_size(size, "mask_size")


@pytest.mark.parametrize(
    "sizes", [[(5, 7), (2, 3)], ((5, 7), [2, 3]), np.array([[5, 7], [2, 3]]), torch.tensor([[5, 7], [2, 3]])]
)
def test_sizes_of_many_images(sizes):
    assert read_sizes(sizes, "target_sizes") == [(5, 7), (2, 3)]


@pytest.mark.parametrize("sizes", [(5, 7), 5, "ab", torch.tensor([5, 7]), [(5, 7), 3]])
def test_one_size_is_no_list_of_sizes(sizes):
    with pytest.raises(ValueError, match="target_sizes"):
        read_sizes(sizes, "target_sizes")
