"""The largest number in weight files, found while they are being loaded.

files -> headers -> stretches of one type, in pieces that are mapped one at a time -> the largest magnitude, or infinity
"""

import json
import mmap
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_LENGTH = 8  # bytes that say how long the header is
# Bytes looked at in one call. Between two calls a thread waits for Python, which the loading keeps busy; and no more
# than this is mapped beyond what the model needs.
_PIECE = 2**29


class Stretch(NamedTuple):
    """Bytes of a file, from `start` up to `end`, that hold numbers of one type."""

    dtype: torch.dtype
    start: int
    end: int


@contextmanager
def looking_at(files: Sequence[str] | None) -> Iterator[Future[list[Tensor]]]:
    """Find the `extremes` of these files in another thread while the body runs; they are there when it has left."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(extremes, files or ())


def extremes(files: Sequence[str]) -> list[Tensor]:
    """Numbers of which the largest magnitude is the largest of the floating-point numbers in all files.

    Infinity is among them where the files cannot tell: there are none, or they are no safetensors files with every
    number at a multiple of its size. Numbers that are not finite are never missed.
    """
    if not files or not all(file.endswith(".safetensors") for file in files):
        return [torch.tensor(inf)]
    return [extreme for file in files for stretch in _stretches(Path(file)) for extreme in _ends(Path(file), stretch)]


def largest(numbers: Sequence[Tensor]) -> float:
    """The largest magnitude; NaN if one of them is NaN."""
    return torch.stack([torch.zeros(()).double(), *(number.double().abs() for number in numbers)]).amax().item()


def _stretches(path: Path) -> list[Stretch]:
    """Where the floating-point numbers of a file are; neighbours of one type are one stretch."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        header = json.loads(file.read(length))
    stretches: list[Stretch] = []
    entries = [entry for name, entry in header.items() if name != "__metadata__" and entry["dtype"] in _TYPES]
    for entry in sorted(entries, key=lambda entry: entry["data_offsets"]):
        start, end = (_LENGTH + length + offset for offset in entry["data_offsets"])
        dtype = _TYPES[entry["dtype"]]
        if stretches and stretches[-1].end == start and stretches[-1].dtype == dtype:
            start = stretches.pop().start
        stretches.append(Stretch(dtype, start, end))
    return [stretch for stretch in stretches if stretch.start < stretch.end]


def _ends(path: Path, stretch: Stretch) -> Iterator[Tensor]:
    """The least and the greatest number of every piece of a stretch, or infinity if its numbers lie askew."""
    size = stretch.dtype.itemsize
    if stretch.start % size:
        yield torch.tensor(inf)
        return
    with path.open("rb") as file:
        for offset in range(stretch.start // _PIECE * _PIECE, stretch.end, _PIECE):
            start, end = max(stretch.start, offset), min(stretch.end, offset + _PIECE)
            # A copy on writing, which never happens: PyTorch warns of memory that it may not write to.
            with mmap.mmap(file.fileno(), end - offset, access=mmap.ACCESS_COPY, offset=offset) as piece:
                numbers = torch.frombuffer(
                    piece, dtype=stretch.dtype, offset=start - offset, count=(end - start) // size
                )
                yield from torch.aminmax(numbers)
                del numbers
