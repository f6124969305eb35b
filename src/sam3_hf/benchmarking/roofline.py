"""How fast this machine could run the model: its matrix products, attentions and convolutions, each measured alone.

operations -> seconds of each shape, measured now -> floor of a part: the sum over what it computes
"""

import statistics
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch.nn import functional as F

from sam3_hf.benchmarking.timing import seconds_of
from sam3_hf.benchmarking.work import Convolution, Operation, Product, Reading
from sam3_hf.ops.products import linear
from sam3_hf.ops.tiled_attention import can_tile, tiled_attention

_REPEATS = 3


class Rate(NamedTuple):
    """What the machine reached in one shape."""

    operation: Operation
    seconds: float

    @property
    def flops_per_second(self) -> float:
        """Floating-point operations per second."""
        return self.operation.flops / self.seconds


class Roofline:
    """Measured rates, by shape; a shape is measured when it is first asked for.

    Args:
        device: Where to measure.
        dtype: In which type.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.rates: dict[Operation, Rate] = {}

    def floor(self, operations: Iterable[Operation]) -> float:
        """Seconds that these operations take at the rates measured, one after the other, with nothing between them."""
        return sum(self._rate(operation).seconds * operation.times for operation in operations)

    def largest(self) -> list[Rate]:
        """The rate of the largest matrix product, attention and convolution measured so far."""
        found = []
        for kind in (Product, Reading, Convolution):
            rates = [rate for rate in self.rates.values() if isinstance(rate.operation, kind)]
            found += [max(rates, key=lambda rate: rate.operation.flops)] if rates else []
        return found

    def _rate(self, operation: Operation) -> Rate:
        once = operation._replace(times=1)
        if once not in self.rates:
            self.rates[once] = Rate(once, self._measure(once))
        return self.rates[once]

    def _measure(self, operation: Operation) -> float:
        """The quickest way at hand, on median."""
        if not operation.flops:
            return 0.0
        with torch.inference_mode():
            return min(self._median(way) for way in self._ways(operation))

    def _median(self, call: Callable[[], object]) -> float:
        call()
        return statistics.median(seconds_of(call, self.device) for _ in range(_REPEATS))

    def _ways(self, operation: Operation) -> list[Callable[[], object]]:
        if isinstance(operation, Product):
            left, right = (
                self._random(operation.rows, operation.inner),
                self._random(operation.columns, operation.inner),
            )
            return [lambda: F.linear(left, right), lambda: linear(left, right)]
        if isinstance(operation, Reading):
            batch, heads, queries, keys, width = operation[:5]
            query, key = self._random(batch, heads, queries, width), self._random(batch, heads, keys, width)
            ways: list[Callable[[], object]] = [lambda: F.scaled_dot_product_attention(query, key, key)]
            tiled = [lambda: tiled_attention(query, key, key, None, width**-0.5)] if can_tile(query, key, key) else []
            return ways + tiled
        batch, channels, side = operation[:3]
        weight, grid = self._random(channels, channels, 3, 3), self._random(batch, channels, side, side)
        last = grid.contiguous(memory_format=torch.channels_last)
        return [lambda: F.conv2d(grid, weight, padding=1), lambda: F.conv2d(last, weight, padding=1)]

    def _random(self, *shape: int) -> torch.Tensor:
        return torch.rand(shape, device=self.device, dtype=self.dtype)
