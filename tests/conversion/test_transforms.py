import pytest
import torch

from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.transforms import COPY, DROP_CLASS_TOKEN, DUPLICATE, SPLIT, STACK, TRANSPOSE


@pytest.mark.parametrize(
    ("transform", "tensors", "shapes"),
    [
        (COPY, [torch.randn(2, 3)], [(2, 3)]),
        (SPLIT, [torch.randn(6, 2)], [(2, 2)] * 3),
        (STACK, [torch.randn(1, 5) for _ in range(4)], [(4, 5)]),
        (TRANSPOSE, [torch.randn(2, 3)], [(3, 2)]),
        (DUPLICATE, [torch.randn(2, 3)], [(2, 3)] * 2),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_way_back_undoes_the_way_forth(transform, tensors, shapes):
    forth = transform.forth(tensors)
    assert [tuple(tensor.shape) for tensor in forth] == shapes
    assert all(torch.equal(*pair) for pair in zip(transform.back(forth), tensors, strict=True))


def test_the_position_of_the_class_token_comes_back_as_zeros():
    positions = torch.randn(1, 5, 2)
    (back,) = DROP_CLASS_TOKEN.back(DROP_CLASS_TOKEN.forth([positions]))
    assert torch.equal(back[:, 1:], positions[:, 1:])
    assert back[:, 0].abs().sum() == 0


def test_copies_that_differ_are_not_written_back():
    with pytest.raises(ConversionError, match="differ"):
        DUPLICATE.back([torch.zeros(2), torch.ones(2)])
