"""Softmax inside the product of queries and keys, in bfloat16 on a CPU.

query [K, Q, D], key [K, N, D], values of a head in float32 [N, E] -> averages [Q, E]

Softmax does not change when all logits of a query are shifted alike, and far below zero sigmoid(x) = e^x (1 - e^x ...)
is the exponential. oneDNN bends a product by sigmoid while it is still float32 in the processor's registers, so a shift
makes the product itself return the weights: logits are neither rounded nor written anywhere. The shift is one more
channel of the query, against ones of the keys. A sample of the keys tells how far it has to be, and the sum of the
weights whether it was far enough.

Weights are rounded to bfloat16, as `scaled_dot_product_attention` rounds them, and nothing else before the result.
"""

import functools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sam3_hf.ops.products import linear, onednn_computes, paired

# One key of so many belongs to the sample, whose largest logit is shifted to e^-38.25. That is 1.76 * 2^-56: weights
# that are nearly alike lie in the upper half of what one exponent reaches, where they are rounded least.
_EVERY, _BELOW = 32, 38.25
# Sums of a query's weights: with more, sigmoid would stray from e^x by more than a tenth of what rounding weights does;
# with less for each key, the largest weight could be so small that others are lost to bfloat16, which ends at e^-87.
_MOST, _LEAST = math.exp(-8), math.exp(-65)


class ShiftedHead(NamedTuple):
    """Scaled queries and keys of one head, with one more channel that shifts the logits."""

    queries: Float[Tensor, "Q d"]
    keys: Float[Tensor, "N d"]

    def average(self, tile: slice, values: Float[Tensor, "N E"], into: Float[Tensor, "q E"]) -> bool:
        """Write what a tile of queries reads; `False`, and nothing written, where the shift does not fit all of them.

        It does not where the largest logit of a query is far, by some 25, above the largest of the sample.
        """
        weights = _sigmoid_of_product(self.queries[tile], self.keys).float()
        sums = weights.sum(-1, keepdim=True)
        least, most = sums.aminmax()
        if not (least >= _LEAST * len(values) and most <= _MOST):
            return False
        torch.mul(linear(weights, values.t()), sums.reciprocal(), out=into)
        return True


def shifted_heads(query: Float[Tensor, "K Q D"], key: Float[Tensor, "K N D"], scaling: float) -> list[ShiftedHead]:
    """Shift the logits of each query below zero, by a look at some of them."""
    scaled = query * scaling
    # In float32 the largest is found in half of the time.
    largest = paired(scaled, key[:, ::_EVERY]).float().amax(-1, keepdim=True).to(query.dtype)
    queries, keys = torch.cat([scaled, -_BELOW - largest], -1), F.pad(key, (0, 1), value=1.0)
    return [ShiftedHead(*head) for head in zip(queries, keys, strict=True)]


def takes_shift(query: Float[Tensor, "*B D"], scaling: float) -> bool:
    """Whether queries are scaled by a power of two, so that they stay what they are, and softmax may be shifted."""
    return power_below(scaling) == scaling and may_shift(query)


def may_shift(query: Float[Tensor, "*B D"]) -> bool:
    """Whether queries are bfloat16, and sigmoid is exact."""
    return query.dtype == torch.bfloat16 and onednn_computes(query) and _sigmoid_reaches_down()


def power_below(scaling: float) -> float:
    """The largest power of two that is no larger."""
    return 2.0 ** (math.frexp(scaling)[1] - 1)


@functools.cache
def _sigmoid_reaches_down() -> bool:
    """Whether this processor's oneDNN keeps sigmoid(x) close to e^x down to where bfloat16 ends."""
    logits = torch.linspace(-86, -8, 64).bfloat16()
    queries, keys = logits.unsqueeze(1) * torch.eye(1, 65), torch.ones(64, 65)
    bent = _sigmoid_of_product(queries.bfloat16(), keys.bfloat16())
    error = bent.double() / logits.double().exp().unsqueeze(1) - 1
    return bool(error.abs().amax() <= torch.finfo(torch.bfloat16).eps)


def _sigmoid_of_product(left: Float[Tensor, "q d"], right: Float[Tensor, "N d"]) -> Float[Tensor, "q N"]:
    """Products of all pairs, bent before they are rounded."""
    return torch.ops.mkldnn._linear_pointwise(left, right, None, "sigmoid", [], "")
