"""Embeddings read as a whole."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sam3_hf.ops.tables import kept_table


def all_rows(embedding: nn.Embedding, like: Tensor) -> Float[Tensor, "N C"]:
    """Every row of a learned table, by calling it: a weight that waits on disk arrives when its module is called."""
    return embedding(_numbers(embedding.num_embeddings, like))


@kept_table
def _numbers(count: int, like: Tensor) -> Int[Tensor, " N"]:
    return torch.arange(count, device=like.device)
