"""What the loss looks at: the answers of every decoder layer, as two sets of queries.

logits [L, P, S], boxes [L, P, S, 4] -> first set [L, P, Q], second set [L, P, S - Q]; presence logits [L, P, 1]
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class QuerySet(NamedTuple):
    """What one set of queries says, layer by layer; boxes in 0..1, centre format."""

    logits: Float[Tensor, "L P Q"]
    boxes_cxcywh: Float[Tensor, "L P Q 4"]

    def layers(self, which: slice) -> "QuerySet":
        """The answers of some layers."""
        return QuerySet(self.logits[which], self.boxes_cxcywh[which])


class Predictions(NamedTuple):
    """Both sets of queries and the presence of every layer; the second set has no queries where it does not exist."""

    one_to_one: QuerySet
    one_to_many: QuerySet
    presence_logits: Float[Tensor, "L P 1"]

    @classmethod
    def of(
        cls,
        logits: Float[Tensor, "L P S"],
        boxes_cxcywh: Float[Tensor, "L P S 4"],
        presence_logits: Float[Tensor, "L P 1"],
        queries: int,
    ) -> "Predictions":
        """Of the answers of all queries, of which the first `queries` are the first set."""
        logits, boxes_cxcywh = in_full(logits), in_full(boxes_cxcywh)
        first = QuerySet(logits[..., :queries], boxes_cxcywh[..., :queries, :])
        second = QuerySet(logits[..., queries:], boxes_cxcywh[..., queries:, :])
        return cls(first, second, in_full(presence_logits))

    def layers(self, which: slice) -> "Predictions":
        """The answers of some layers."""
        return Predictions(self.one_to_one.layers(which), self.one_to_many.layers(which), self.presence_logits[which])


def in_full(values: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """The values in float32 or better, the precision of every loss."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
