"""Embeddings read as a whole."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def all_rows(embedding: nn.Embedding, like: Tensor) -> Float[Tensor, "N C"]:
    """Every row of a learned table, by calling it: a weight that waits on disk arrives when its module is called."""
    return embedding(torch.arange(embedding.num_embeddings, device=like.device))
