"""Matrix products: the same numbers, by the fastest library at hand.

inputs [..., D], weight [E, D], bias [E] -> [..., E]

On a CPU, PyTorch gives float32 products to MKL, which takes twice as long as oneDNN on some processors, and spreads the
bias over the output before a bfloat16 product starts. oneDNN's own linear layer, which `torch.compile` uses, does
neither. It knows no gradients.
"""

import functools
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

# In float32, MKL is done with a product of so few multiplications before oneDNN has begun. In bfloat16 PyTorch knows
# only oneDNN, and prepares longer for it.
_SMALL = 3_000_000


def linear(
    inputs: Float[Tensor, "*B D"], weight: Float[Tensor, "E D"], bias: Float[Tensor, " E"] | None = None
) -> Float[Tensor, "*B E"]:
    """`F.linear`, by oneDNN where it can and where it is faster."""
    # Compilers would take the number of inputs for fixed if they were asked about it.
    if torch.compiler.is_compiling() or (inputs.dtype == torch.float32 and inputs.numel() * weight.shape[0] <= _SMALL):
        return F.linear(inputs, weight, bias)
    if onednn_computes(inputs, weight) and (bias is None or bias.dtype == inputs.dtype):
        # Of a weight with gaps, such as every other row of another, oneDNN multiplies number by number.
        has_gaps = not (weight.is_contiguous() or weight.t().is_contiguous())
        weight = weight.contiguous() if has_gaps else weight
        return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return F.linear(inputs, weight, bias)


def scaled_linear(
    inputs: Float[Tensor, "*B D"], weight: Float[Tensor, "E D"], bias: Float[Tensor, " E"], factor: float
) -> Float[Tensor, "*B E"]:
    """`F.linear(...) * factor`, rounded once; for what `onednn_computes`."""
    product = torch.addmm(bias, inputs.flatten(0, -2), weight.t(), beta=factor, alpha=factor)
    return product.unflatten(0, inputs.shape[:-1])


def fuses_gelu(inputs: Float[Tensor, "*B D"], weight: Float[Tensor, "E D"]) -> bool:
    """Whether a GPU bends a product while it writes it, and nothing asks for a gradient.

    It takes the approximation of GELU by tanh, which strays by up to 5e-4, but of products that were not rounded
    before: in bfloat16 the result is closer to the exact function of exact products than that of rounded ones.
    """
    return (
        inputs.is_cuda
        and torch.version.cuda is not None
        and type(weight) in _PLAIN
        and weight.is_cuda
        and inputs.dtype == weight.dtype == torch.bfloat16
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cuda")
    )


def linear_gelu(
    inputs: Float[Tensor, "*B D"], weight: Float[Tensor, "E D"], bias: Float[Tensor, " E"]
) -> Float[Tensor, "*B E"]:
    """`F.gelu(F.linear(...))` as one kernel of a GPU."""
    rows = inputs.flatten(0, -2)
    bent = torch.ops.aten._addmm_activation(bias, rows, weight.t(), use_gelu=True)
    return bent.unflatten(0, inputs.shape[:-1])


def paired(first: Float[Tensor, "B Q C"], second: Float[Tensor, "B N C"]) -> Float[Tensor, "B Q N"]:
    """Every vector of the first times every vector of the second, row by row of the batch."""
    if len(first) == 1:
        return linear(first[0], second[0]).unsqueeze(0)
    return first @ second.transpose(1, 2)


# A tensor of another class, such as a quantized weight, has products of its own.
_PLAIN = (Tensor, torch.nn.Parameter)


def onednn_computes(*factors: Tensor) -> bool:
    """Whether oneDNN can multiply these: nothing here asks for a gradient, a graph or another precision."""
    dtype = factors[0].dtype
    for each in factors:
        if type(each) not in _PLAIN or not each.is_cpu or each.dtype != dtype:
            return False
    return (
        factors[0].numel() > 0
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.enabled
        and dtype in _dtypes()
    )


@functools.cache
def _dtypes() -> tuple[torch.dtype, ...]:
    """What this processor's oneDNN multiplies in hardware."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return ()
    bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return (torch.float32, torch.bfloat16) if bfloat16 else (torch.float32,)


# Rows that a GPU works on together: enough to keep it busy, and few enough for its memory.
_ON_GPU = 8


def by_row(function: Callable[..., tuple[Tensor, ...]], *batches: Tensor, least: int = 0) -> tuple[Tensor, ...]:
    """Results of a function of batches, a few rows at a time without gradients: what it makes on its way needs memory.

    On a CPU, where less memory is faster memory, it is one row. Rows whose first part has fewer than `least` numbers
    stay together.
    """
    rows, count = len(batches[0]), _rows_at_a_time(batches[0])
    if rows <= count or batches[0][0].numel() < least:
        return function(*batches)
    outputs: tuple[Tensor, ...] = ()
    for start in range(0, rows, count):
        results = function(*(batch[start : start + count] for batch in batches))
        outputs = outputs or tuple(_room(result, rows) for result in results)
        for output, result in zip(outputs, results, strict=True):
            output[start : start + count] = result
    return outputs


def _rows_at_a_time(batch: Tensor) -> int:
    """One on a CPU, a few on other devices; all where gradients or graphs are asked for."""
    if batch.device.type == "cpu":
        return 1 if onednn_computes(batch) else sys.maxsize
    return sys.maxsize if torch.is_grad_enabled() or torch.compiler.is_compiling() else _ON_GPU


def _room(row: Float[Tensor, "_ *D"], rows: int) -> Float[Tensor, "B *D"]:
    """An empty batch of so many rows that lie in memory as these do."""
    has_channels_last = row.ndim == 4 and row.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if has_channels_last and not row.is_contiguous() else torch.contiguous_format
    return torch.empty((rows, *row.shape[1:]), dtype=row.dtype, device=row.device, memory_format=layout)
