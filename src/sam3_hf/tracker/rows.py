"""Rows: what belongs to an image, repeated for every object that is looked for in it."""

from jaxtyping import Shaped
from torch import Tensor


def per_object(parts: Shaped[Tensor, "B *S"], rows: int) -> Shaped[Tensor, "R *S"]:
    """The part of every object's image; objects of an image are neighbours; a single image is shared, not copied."""
    objects = rows // len(parts)
    return parts.unsqueeze(1).expand(-1, objects, *parts.shape[1:]).flatten(0, 1)
