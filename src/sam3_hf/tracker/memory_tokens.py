"""Memory tokens: what the objects of a frame recall, each as much as it knows, as one padded batch.

Recalled per bank of K objects -> cells [R, F*H*W, m], pointers [R, P, m], each with positions
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby

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
    def times_of(pieces: int, *distances: float) -> Tensor:
        if not distances:
            return like.new_zeros(1, 0, width)
        times = encode_distance(torch.tensor(distances).to(like.device, non_blocking=True)).to(like.dtype)
        return times.repeat_interleave(pieces, 0).unsqueeze(0)

    # Banks that remember equally much are read together: there is one for each of what may be hundreds of objects.
    runs = [list(run) for _, run in groupby(recalled, key=_extent)]
    cells, pointers = [_cells(run, like) for run in runs], [_pointers(run, width, like) for run in runs]
    sizes = [len(each.memories[0].pointers) for each in recalled]
    places = [places_of(*each.ages) for each in recalled]
    pieces = next((each.pointing[0].pointers.shape[1] for each in recalled if each.pointing), 0) // width
    times = [times_of(pieces, *(distance / each.span for distance in each.distances)) for each in recalled]
    longest = max(part.shape[1] for part in cells), max(part.shape[1] for part in pointers)
    lengths = [(part.shape[1], tokens.shape[1]) for part, tokens in zip(cells, pointers, strict=True)]
    valid = None
    if any(length != longest for length in lengths):
        valid = torch.cat([_valid(length, longest, len(part)) for length, part in zip(lengths, cells, strict=True)])
        valid = valid.to(like.device, non_blocking=True)
    return MemoryTokens(
        cells=_padded(cells, longest[0]),
        cell_positions=_agreed(places, sizes, longest[0]),
        pointers=_padded(pointers, longest[1]),
        pointer_positions=_agreed(times, sizes, longest[1]),
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


def _extent(recalled: Recalled) -> tuple[int, int, int]:
    """How many memories and how many pointers of how many objects."""
    memories = sum(memory.features is not None for memory in recalled.memories)
    return memories, len(recalled.pointing), len(recalled.memories[0].pointers)


def _cells(alike: Sequence[Recalled], like: Float[Tensor, "B C H W"]) -> Float[Tensor, "R S m"]:
    """The cells of the memories of banks of the same extent."""
    memories, _, _ = _extent(alike[0])
    grids = [memory.features for each in alike for memory in each.memories if memory.features is not None]
    cells = to_tokens(torch.cat(_moved(grids, like.device))).to(like.dtype)
    return _by_object(cells, len(alike), memories).flatten(1, 2)


def _pointers(alike: Sequence[Recalled], width: int, like: Float[Tensor, "B C H W"]) -> Float[Tensor, "R P m"]:
    """Pointers of banks of the same extent, cut into pieces as wide as a memory."""
    _, pointers, objects = _extent(alike[0])
    if not pointers:
        return like.new_zeros(len(alike) * objects, 0, width)
    vectors = [memory.pointers for each in alike for memory in each.pointing]
    pieces = torch.cat(_moved(vectors, like.device)).to(like.dtype).unflatten(-1, (-1, width))
    return _by_object(pieces, len(alike), pointers).flatten(1, 2)


def _moved(parts: Iterable[Tensor], device: torch.device) -> list[Tensor]:
    """All of them on a device."""
    return [part if part.device == device else part.to(device, non_blocking=True) for part in parts]


def _by_object(tokens: Float[Tensor, "BFK n m"], banks: int, frames: int) -> Float[Tensor, "BK F n m"]:
    """Bank after bank, and in each of them frame after frame: brought together by object."""
    return tokens.unflatten(0, (banks, frames, -1)).transpose(1, 2).flatten(0, 1)


def _valid(length: tuple[int, int], longest: tuple[int, int], rows: int) -> Tensor:
    """Which tokens of a bank are real."""
    real = [torch.arange(most) < count for count, most in zip(length, longest, strict=True)]
    return torch.cat(real).expand(rows, -1)


def _agreed(positions: Sequence[Float[Tensor, "1 _ m"]], sizes: Sequence[int], length: int) -> Float[Tensor, "#R _ m"]:
    """Positions of the tokens of banks of so many objects: one row where all share them, a row per object elsewhere."""
    if all(part is positions[0] for part in positions):
        return positions[0]
    rows = [part.expand(size, -1, -1) for part, size in zip(positions, sizes, strict=True)]
    return _padded(rows, length)


def _padded(parts: Sequence[Tensor], length: int) -> Tensor:
    """Sequences of different lengths as one batch; those of full length are not copied twice."""
    return joined(
        [part if part.shape[1] == length else F.pad(part, (0, 0, 0, length - part.shape[1])) for part in parts]
    )
