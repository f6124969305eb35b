"""Attention on a CPU, tile by tile: exact, and the logits of a tile never leave the processor's cache.

query [B, K, Q, D], key [B, K, N, D], value [B, K, N, E] -> output [B, Q, K, E]

In float32, and under a bias or a mask of pairs, all of it is float32 inside. In bfloat16 that is no less exact than
`scaled_dot_product_attention`, which rounds the weights, and faster, because its products are large enough to run at
full speed. In bfloat16 without these, softmax is part of the product (`shifted_softmax`), which is faster still.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sam3_hf.ops.products import linear, onednn_computes
from sam3_hf.ops.shifted_softmax import (
    fit,
    may_shift,
    power_below,
    shifted_average,
    shifted_keys,
    shifted_queries,
    takes_shift,
)

# The name by which models ask for it.
BACKEND = "tiled"

# Logits of one tile: about 6 MB in float32.
_TILE = 1_500_000
# Queries of a tile at least where softmax is part of the product, which holds half as many bytes.
_QUERIES = 160
# Numbers of the queries that are shifted together.
_AT_ONCE = 2**20
# With fewer queries or keys, a head is not worth calls of its own, unless there is much to multiply all the same.
_LEAST = 192
_MUCH = 2**24


class GridBias(NamedTuple):
    """A bias towards the cells of a grid of keys: a term of the cell's row and one of its column."""

    rows: Float[Tensor, "B K Q H"]
    columns: Float[Tensor, "B K Q W"]

    def dense(self) -> Float[Tensor, "B K Q N"]:
        """The sum of both for every cell."""
        return (self.rows.unsqueeze(-1) + self.columns.unsqueeze(-2)).flatten(3)


def can_tile(query: Float[Tensor, "B K Q D"], key: Float[Tensor, "B K N D"], value: Float[Tensor, "B K N E"]) -> bool:
    """Whether `tiled_attention` computes this, and at a profit."""
    return onednn_computes(query, key, value) and _is_worth_it(query.shape[2], *key.shape[2:])


def _is_worth_it(queries: int, keys: int, channels: int) -> bool:
    """Whether a head is large enough."""
    return min(queries, keys) >= _LEAST or queries * keys * channels >= _MUCH


def scaling_in_tiles(
    query: Float[Tensor, "#B Q _"], key: Float[Tensor, "#B N _"], channels: int, scaling: float
) -> float:
    """As much of a scaling as is best left to `tiled_attention`, in heads of so many channels.

    Softmax becomes part of the product if queries are scaled by a power of two. The rest belongs into the product that
    makes the queries: what they are multiplied by before they are rounded costs no precision.
    """
    gains = may_shift(query) and _is_worth_it(query.shape[1], key.shape[1], channels)
    return power_below(scaling) if gains else scaling


def tiled_attention(
    query: Float[Tensor, "B K Q D"],
    key: Float[Tensor, "B K N D"],
    value: Float[Tensor, "B K N E"],
    mask: Bool[Tensor, "#B #K #Q N"] | Float[Tensor, "#B #K #Q N"] | GridBias | None,
    scaling: float,
) -> Float[Tensor, "B Q K E"]:
    """Attention without gradients; `mask` is bool (True = look) or a bias added to the logits."""
    batch, heads, queries = query.shape[:3]
    output = query.new_empty(batch, queries, heads, value.shape[-1])
    if mask is None and takes_shift(query, scaling):
        # Small rows are shifted together: what that takes is little beside the work on them, but not beside a call.
        for some in _slices(batch, -(-batch // max(_AT_ONCE // query[0].numel(), 1))):
            _attend_shifted(query[some], key[some], value[some], scaling, output[some].transpose(1, 2))
        return output
    looks = [each.expand(batch, heads, queries, -1) for each in _terms(mask)]
    hides_keys = isinstance(mask, Tensor) and mask.dtype == torch.bool and mask.shape[1:3] == (1, 1)
    for row in range(batch):
        if hides_keys and looks[0][row, 0, 0].any():
            # What no query may look at is left out, as if it had never been there.
            one, seen = slice(row, row + 1), looks[0][row, 0, 0]
            output[one] = tiled_attention(query[one], key[one, :, seen], value[one, :, seen], None, scaling)
            continue
        for head in range(heads):
            own = [each[row, head] for each in looks]
            _attend(query[row, head], key[row, head], value[row, head], own, scaling, output[row, :, head])
    return output


def _attend_shifted(
    query: Float[Tensor, "B K Q D"],
    key: Float[Tensor, "B K N D"],
    value: Float[Tensor, "B K N E"],
    scaling: float,
    into: Float[Tensor, "B K Q E"],
) -> None:
    """Write what queries read, with softmax inside the product; tiles that do not fit are computed in float32."""
    queries, read = shifted_queries(query, key, scaling), []
    for head in itertools.product(*map(range, query.shape[:2])):
        # Of one head at a time, these are still in the processor's cache when they are multiplied.
        keys, values = shifted_keys(key[head]), value[head].float().contiguous()
        for tile in _tiles(query.shape[2], len(keys), _QUERIES):
            read.append((head, tile, shifted_average(queries[head][tile], keys, values, into[head][tile])))
    if fit(torch.cat([sums for *_, sums in read]), key.shape[2]):
        return
    for head, tile, sums in read:
        if not fit(sums, key.shape[2]):
            _attend(query[head][tile], key[head], value[head], [], scaling, into[head][tile])


def _attend(
    query: Float[Tensor, "Q D"],
    key: Float[Tensor, "N D"],
    value: Float[Tensor, "N E"],
    terms: list[Tensor],
    scaling: float,
    into: Float[Tensor, "Q E"],
) -> None:
    """Write what the queries of one head read, in float32."""
    keys, values = key.float().contiguous(), value.float().contiguous()
    for tile in _tiles(len(query), len(keys), 1):
        into[tile] = _average(query[tile].float() * scaling, keys, values, *(each[tile] for each in terms))


def _average(
    query: Float[Tensor, "q D"], keys: Float[Tensor, "N D"], values: Float[Tensor, "N E"], *terms: Tensor
) -> Float[Tensor, "q E"]:
    """What a tile of scaled queries reads, in float32."""
    logits = linear(query, keys)
    _look(logits, *terms)
    weights = torch.softmax(logits, -1, out=logits)
    # Channels are the rows of a weight; nothing is moved.
    return linear(weights, values.t())


def _tiles(queries: int, keys: int, least: int) -> Iterator[slice]:
    """Ranges of queries, as even as they can be, of at least so many."""
    return _slices(queries, -(-queries // max(_TILE // keys, least)))


def _slices(length: int, count: int) -> Iterator[slice]:
    """So many ranges, as even as they can be."""
    edges = [length * number // count for number in range(count + 1)]
    return map(slice, edges, edges[1:])


def _terms(mask: Tensor | GridBias | None) -> tuple[Tensor, ...]:
    """What a mask is made of: nothing, itself, or the terms of its rows and columns."""
    if mask is None:
        return ()
    return mask if isinstance(mask, GridBias) else (mask,)


def _look(logits: Float[Tensor, "q N"], *terms: Tensor) -> None:
    """Apply a mask, or one or two terms of a bias, to logits, in place."""
    if len(terms) == 2:
        rows, columns = (term.float() for term in terms)
        grid = logits.unflatten(1, (rows.shape[1], columns.shape[1]))
        grid.add_(rows.unsqueeze(2)).add_(columns.unsqueeze(1))
    elif terms and terms[0].dtype == torch.bool:
        logits.masked_fill_(~terms[0], torch.finfo(logits.dtype).min)
    elif terms:
        logits.add_(terms[0])
