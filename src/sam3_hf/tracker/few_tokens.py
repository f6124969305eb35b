"""Attention between the few tokens of an object and the many cells of its image, of which no cell is projected.

A logit is a product q . W k. Multiplied from the other side it is (q W) . k, and the few vectors meet the many as they
are. The same holds for values and the output's projection. All numbers are those of plain attention, up to rounding;
with 8 tokens of 8 heads it takes half of the products, and no projection of an image has to be held.

tokens [T, C], cells [N, C] -> what the tokens see [T, C]
cells [N, C], tokens [T, C] -> what the cells are told [N, C]

Several objects have no cells in common, once they were told something; theirs are projected, and meet tokens head by
head: query [R, K, N, D], key and value [R, K, T, D] -> what the cells are told [R, N, C]
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sam3_hf.layers.attention import split_heads
from sam3_hf.ops.products import linear


class Projections(nn.Module):
    """What both ways need of an attention: its four projections, its number of heads and its scaling."""

    q_proj: nn.Linear
    k_proj: nn.Linear
    v_proj: nn.Linear
    o_proj: nn.Linear
    heads: int
    scaling: float


def tokens_see(
    attention: Projections, tokens: Float[Tensor, "T C"], keys: Float[Tensor, "N C"], values: Float[Tensor, "N C"]
) -> Float[Tensor, "T C"]:
    """Tokens ask; each head averages the cells as they are, and projects the average."""
    heads = attention.heads
    queries = split_heads(attention.q_proj(tokens)[None], heads)[0] * attention.scaling
    # The bias of the keys adds the same to all logits of a query, which changes none of its weights.
    questions = (queries @ _rows_of(attention.k_proj, heads)).flatten(0, 1)  # [K*T, C]
    weights = linear(questions, keys).softmax(-1)
    seen = linear(weights, values.t()).unflatten(0, (heads, -1))  # [K, T, C]
    output = seen @ _rows_of(attention.v_proj, heads).transpose(1, 2)  # [K, T, D]
    return attention.o_proj(output.transpose(0, 1).flatten(1) + attention.v_proj.bias)


def cells_are_told(
    attention: Projections,
    cells: Float[Tensor, "N C"],
    keys: Float[Tensor, "T C"],
    values: Float[Tensor, "T C"],
    valid: Bool[Tensor, "T"],
) -> Float[Tensor, "N C"]:
    """Cells ask; what each head of each token would answer is projected before it is shared out."""
    heads = attention.heads
    keys = split_heads(attention.k_proj(keys)[None], heads)[0] * attention.scaling
    matches = (keys @ _rows_of(attention.q_proj, heads)).flatten(0, 1)  # [K*T, C]
    everywhere = keys @ attention.q_proj.bias.view(heads, -1, 1)  # [K, T, 1]
    logits = linear(matches, cells).unflatten(0, (heads, -1)).add_(everywhere)
    weights = logits.masked_fill_(~valid[:, None], -torch.inf).softmax(1).flatten(0, 1)
    told = split_heads(attention.v_proj(values)[None], heads)[0]  # [K, T, D]
    answers = (told @ attention.o_proj.weight.t().unflatten(0, (heads, -1))).flatten(0, 1)  # [K*T, C]
    return linear(weights.t().contiguous(), answers.t(), attention.o_proj.bias)


def told_by_few(
    query: Float[Tensor, "R K N D"],
    key: Float[Tensor, "R K T D"],
    value: Float[Tensor, "R K T D"],
    valid: Bool[Tensor, "R 1 1 T"],
    scaling: float,
) -> Float[Tensor, "R N C"]:
    """Attention of many cells to few tokens, in float32, with the cells in the rows of memory.

    Softmax over tokens then goes along whole rows; over the few numbers of each cell it would take most of the time.
    """
    logits = (key.float() * scaling) @ query.float().transpose(2, 3)  # [R, K, T, N]
    weights = logits.masked_fill_(~valid.transpose(2, 3), -torch.inf).softmax(2)
    told = value.float().transpose(2, 3) @ weights  # [R, K, D, N]
    return told.flatten(1, 2).transpose(1, 2).to(query.dtype)


def _rows_of(projection: Any, heads: int) -> Float[Tensor, "K D C"]:
    """The weights of each head."""
    return projection.weight.unflatten(0, (heads, -1))
