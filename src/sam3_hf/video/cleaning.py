"""Cleaning: small holes of a mask are filled, then small pieces of it go.

logits [N, h, w] -> the same, with new values in holes and pieces of at most so many pixels
"""

from jaxtyping import Float
from torch import Tensor

from sam3_hf.ops.components import small_areas

# What pixels of a filled hole and of a removed piece become: just inside, just outside.
_FILLED, _REMOVED = 0.1, -0.1


def cleaned(logits: Float[Tensor, "N h w"], area: int) -> Float[Tensor, "N h w"]:
    """Fill holes, then remove pieces, of at most `area` pixels; 0 changes nothing.

    A place outside that the border cuts off counts as a hole too. A piece must also be no larger than half of its mask,
    so that a small object in one piece stays; one that is nothing but small pieces can go altogether.
    """
    if area <= 0 or not len(logits):
        return logits
    filled = logits.masked_fill(small_areas(logits <= 0, area) > 0, _FILLED)
    pieces = small_areas(filled > 0, area)
    limit = (filled > 0).sum((1, 2), keepdim=True).div(2, rounding_mode="floor").clamp(max=area)
    return filled.masked_fill((pieces > 0) & (pieces <= limit), _REMOVED)
