import pytest
import torch
from torch.nn import functional as F

from sam3_hf.ops.gelu import gelu_by_exponential, suits


@pytest.mark.parametrize(("dtype", "least"), [(torch.bfloat16, 0.99), (torch.float16, 0.98)])
def test_every_number_of_half_precision_has_its_value(dtype: torch.dtype, least: float) -> None:
    numbers = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    numbers = numbers[numbers.isfinite() & (numbers.abs() < 1e30)]
    found, exact = gelu_by_exponential(numbers), F.gelu(numbers.double())
    rounded = exact.to(dtype)
    assert (found == rounded).float().mean() > least
    # Nowhere is it further off than the next number of the type, or 1e-6.
    step = torch.nextafter(rounded.abs(), torch.full_like(rounded, float("inf"))) - rounded.abs()
    assert ((found.double() - exact).abs() <= step.double() + 1e-6).all()


def test_only_a_compiler_for_gpus_is_given_it() -> None:
    assert not suits(torch.zeros(2, dtype=torch.bfloat16))
