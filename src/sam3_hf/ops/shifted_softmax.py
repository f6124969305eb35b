"""Softmax inside the product of queries and keys, in bfloat16 on a CPU.

query [B, K, Q, D], key [B, K, N, D], values of a head in float32 [N, E] -> averages of a tile [q, E]

Softmax does not change when all logits of a query are shifted alike, and far below zero sigmoid(x) = e^x (1 - e^x ...)
is the exponential. oneDNN bends a product by sigmoid while it is still float32 in the processor's registers, so a shift
makes the product itself return the weights: logits are neither rounded nor written anywhere. The shift is one more
channel of the query, against ones of the keys. A sample of the keys tells how far it has to be, and the sum of the
weights whether it was far enough.

Weights are rounded to bfloat16, as `scaled_dot_product_attention` rounds them, and nothing else before the result.
"""

import functools
import math

import torch
from jaxtyping import Float
from torch import Tensor

from sam3_hf.ops.products import onednn_computes, paired

# One key of so many belongs to the sample, whose largest logit is shifted to e^-38.25. That is 1.76 * 2^-56: weights
# that are nearly alike lie in the upper half of what one exponent reaches, where they are rounded least.
_EVERY, _BELOW = 32, 38.25
# Sums of a query's weights: with more, sigmoid would stray from e^x by more than a tenth of what rounding weights does;
# with less for each key, the largest weight could be so small that others are lost to bfloat16, which ends at e^-87.
_MOST, _LEAST = math.exp(-8), math.exp(-65)


def shifted_queries(
    query: Float[Tensor, "B K Q D"], key: Float[Tensor, "B K N D"], scaling: float
) -> Float[Tensor, "B K Q d"]:
    """Scale queries, and shift the logits of each below zero, by a look at some of them."""
    scaled = query * scaling
    # In float32 the largest is found in half of the time.
    logits = paired(scaled.flatten(0, 1), key[:, :, ::_EVERY].flatten(0, 1)).float()
    largest = logits.amax(-1, keepdim=True).to(query.dtype).unflatten(0, query.shape[:2])
    return torch.cat([scaled, -_BELOW - largest], -1)


def shifted_keys(key: Float[Tensor, "N D"]) -> Float[Tensor, "N d"]:
    """Keys of one head that let the shift of every query pass."""
    return torch.cat([key, key.new_ones(1, 1).expand(len(key), 1)], -1)


def shifted_average(
    queries: Float[Tensor, "q d"], keys: Float[Tensor, "N d"], values: Float[Tensor, "N E"], into: Float[Tensor, "q E"]
) -> Float[Tensor, "q 1"]:
    """Write what shifted queries read, and return the sums of their weights: it is right if they `fit`."""
    weights = _product(queries, keys, "sigmoid").float()
    sums = weights.sum(-1, keepdim=True)
    torch.mul(_product(weights, values.t()), sums.reciprocal(), out=into)
    return sums


def fit(sums: Float[Tensor, "q 1"], keys: int) -> bool:
    """Whether the shift was right for all queries, by the sums of their weights for so many keys.

    It was not where the largest logit of a query is far, by some 25, above the largest of the sample.
    """
    least, most = sums.aminmax()
    return bool(least >= _LEAST * keys and most <= _MOST)


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
    bent = _product(queries.bfloat16(), keys.bfloat16(), "sigmoid")
    error = bent.double() / logits.double().exp().unsqueeze(1) - 1
    return bool(error.abs().amax() <= torch.finfo(torch.bfloat16).eps)


def _product(left: Float[Tensor, "q d"], right: Float[Tensor, "N d"], bent_by: str = "none") -> Float[Tensor, "q N"]:
    """Products of all pairs, bent before they are rounded."""
    return torch.ops.mkldnn._linear_pointwise(left, right, None, bent_by, [], "")
