"""Memory tokens: what the objects of a frame recall, each as much as it knows, as one padded batch.

Recalled per bank of K objects -> cells [R, F*H*W, m], pointers [R, P, m], each with positions
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sam3_hf.ops.positions import TEMPERATURE, grid_positions
from sam3_hf.ops.rows import joined
from sam3_hf.ops.tokens import to_tokens
from sam3_hf.tracker.memory_attention import MemoryTokens
from sam3_hf.video.memory_selection import Recalled
from sam3_hf.video.state import FrameMemory


def memory_tokens(
    recalled: Sequence[Recalled],
    ages: Float[Tensor, "A 1 1 m"],
    encode_distance: Callable[[Tensor], Tensor],
    like: Float[Tensor, "B C H W"],
) -> MemoryTokens:
    """Memory of all objects, bank after bank.

    Args:
        recalled: What each bank looks at; at least one memory each.
        ages: A vector for every age of a memory.
        encode_distance: Makes positions [n, m] of distances [n] of pointers.
        like: The image, for device, type and grid.
    """
    size, width = (like.shape[2], like.shape[3]), ages.shape[-1]
    # One grid of places for every age.
    aged = to_tokens(grid_positions(size, width, like)) + ages[:, 0]

    # Banks that look equally far back share their positions.
    @cache
    def places_of(*ages: int) -> Tensor:
        return torch.cat([aged[age : age + 1] for age in ages], 1)

    @cache
    def times_of(tokens: int, *distances: float) -> Tensor:
        if not distances:
            return like.new_zeros(1, 0, width)
        times = encode_distance(torch.tensor(distances).to(like.device, non_blocking=True)).to(like.dtype)
        return times.repeat_interleave(tokens // len(distances), 0).unsqueeze(0)

    cells = [_cells(each, like) for each in recalled]
    places = [places_of(*each.ages) for each in recalled]
    pointers = [_pointers(each, width, like) for each in recalled]
    times = [
        times_of(part.shape[1], *(distance / each.span for distance in each.distances))
        for each, part in zip(recalled, pointers, strict=True)
    ]
    longest = max(part.shape[1] for part in cells), max(part.shape[1] for part in pointers)
    lengths = [(part.shape[1], tokens.shape[1]) for part, tokens in zip(cells, pointers, strict=True)]
    valid = None
    if any(length != longest for length in lengths):
        valid = torch.cat([_valid(length, longest, len(part)) for length, part in zip(lengths, cells, strict=True)])
        valid = valid.to(like.device, non_blocking=True)
    return MemoryTokens(
        cells=_padded(cells, longest[0]),
        cell_positions=_agreed(places, cells, longest[0]),
        pointers=_padded(pointers, longest[1]),
        pointer_positions=_agreed(times, pointers, longest[1]),
        valid=valid,
    )


def in_groups(recalled: Iterable[Recalled], most: int) -> Iterator[list[Recalled]]:
    """Banks in groups of at most so many objects, in their order; a bank of more is cut."""
    group, room = [], most
    for bank in recalled:
        size = len(bank.memories[0].pointers)
        for first in range(0, size, most):
            count = min(most, size - first)
            if count > room:
                yield group
                group, room = [], most
            group.append(bank if count == size else _some(bank, slice(first, first + count)))
            room -= count
    yield group


def _some(recalled: Recalled, rows: slice) -> Recalled:
    """What some of the objects of a bank look at."""

    def cut(memory: FrameMemory) -> FrameMemory:
        return replace(memory, **{name: part[rows] for name, part in memory.tensors().items()})

    return recalled._replace(
        memories=[cut(memory) for memory in recalled.memories], pointing=[cut(memory) for memory in recalled.pointing]
    )


def distance_positions(distances: Float[Tensor, "n"], channels: int) -> Float[Tensor, "n C"]:
    """Sines, then cosines, of each distance at `channels` / 2 wavelengths (float32)."""
    half = channels // 2
    steps = torch.arange(half, device=distances.device, dtype=torch.float32) // 2 * 2 / half
    angles = distances.float().unsqueeze(-1) / TEMPERATURE**steps
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _cells(recalled: Recalled, like: Float[Tensor, "B C H W"]) -> Float[Tensor, "K S m"]:
    """The cells of the memories of one bank."""
    grids = [memory.features for memory in recalled.memories if memory.features is not None]
    return torch.cat([to_tokens(grid.to(like.device, non_blocking=True)) for grid in grids], 1).to(like.dtype)


def _pointers(recalled: Recalled, width: int, like: Float[Tensor, "B C H W"]) -> Float[Tensor, "K P m"]:
    """Pointers of one bank, cut into pieces as wide as a memory."""
    if not recalled.pointing:
        return like.new_zeros(len(recalled.memories[0].pointers), 0, width)
    stacked = torch.stack([memory.pointers.to(like.device, non_blocking=True) for memory in recalled.pointing], 1)
    return stacked.to(like.dtype).unflatten(-1, (-1, width)).flatten(1, 2)


def _valid(length: tuple[int, int], longest: tuple[int, int], rows: int) -> Tensor:
    """Which tokens of a bank are real."""
    real = [torch.arange(most) < count for count, most in zip(length, longest, strict=True)]
    return torch.cat(real).expand(rows, -1)


def _agreed(
    positions: Sequence[Float[Tensor, "1 _ m"]], tokens: Sequence[Tensor], length: int
) -> Float[Tensor, "#R _ m"]:
    """Positions of the tokens of all banks: a single row where they share them, a row per object elsewhere."""
    if all(part is positions[0] for part in positions):
        return positions[0]
    rows = [part.expand(len(own), -1, -1) for part, own in zip(positions, tokens, strict=True)]
    return _padded(rows, length)


def _padded(parts: Sequence[Tensor], length: int) -> Tensor:
    """Sequences of different lengths as one batch; those of full length are not copied twice."""
    return joined(
        [part if part.shape[1] == length else F.pad(part, (0, 0, 0, length - part.shape[1])) for part in parts]
    )
