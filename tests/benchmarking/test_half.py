import torch
import torch.nn.functional as F

from sam3_hf.benchmarking.half import HalfProducts


def drawn(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape).half() for shape in shapes]


def test_products_of_half_precision_are_summed_up_in_float32_and_rounded_once() -> None:
    left, right, bias = drawn((3, 400), (5, 400), (5,))
    picture, kernel, up = drawn((1, 4, 9, 9), (6, 4, 3, 3), (4, 6, 2, 2))
    heads = drawn(*[(1, 2, 7, 16)] * 3)
    for given, function in (
        ((left, right, bias), F.linear),
        ((left, right.t()), torch.matmul),
        ((picture, kernel), F.conv2d),
        ((picture, up), F.conv_transpose2d),
        (heads, F.scaled_dot_product_attention),
    ):
        for mode in (torch.no_grad(), torch.inference_mode()):
            with mode, HalfProducts():
                found = function(*given)
            assert found.dtype == torch.float16
            assert found.equal(function(*(each.float() for each in given)).half())


def test_nothing_else_is_widened() -> None:
    (left, right), full = drawn((4, 4), (4, 4)), torch.randn(4, 4, dtype=torch.float64)
    expected = full @ full, left * right, left.bfloat16() @ right.bfloat16()
    with HalfProducts():
        found = full @ full, left * right, left.bfloat16() @ right.bfloat16()
    for each, other in zip(found, expected, strict=True):
        assert each.dtype == other.dtype
        assert each.equal(other)
