"""Entries of JSON files, with errors that name what is wrong: file, list, index, key.

file -> JSON -> entries -> checked values
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from sam3_hf.extras import needed
from sam3_hf.ops.masks import runs_of_rle


@dataclass(frozen=True)
class Entry:
    """One object of a JSON file and where it stands, such as `gt.json: annotations[3]`."""

    values: Mapping[str, Any]
    place: str

    def wrong(self, key: str, expected: str) -> ValueError:
        """The error for a value that is missing, or not what is expected."""
        if key not in self.values:
            return ValueError(f"{self.place} has no {key!r}, which must be {expected}.")
        shown = repr(self.values[key])
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return ValueError(f"{self.place}.{key} must be {expected}, got {shown}.")

    def integer(self, key: str) -> int:
        """A whole number."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(key, "a whole number")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        if not is_number(self.values.get(key)):
            raise self.wrong(key, "a finite number")
        return float(self.values[key])

    def flag(self, key: str, default: bool | None = None) -> bool:
        """0 or 1; `default` where the key is missing, if there is one."""
        if default is not None and key not in self.values:
            return default
        if self.values.get(key) not in (0, 1):
            raise self.wrong(key, "0 or 1")
        return bool(self.values[key])

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, "a text")
        return value

    def box(self, key: str = "bbox") -> list[float]:
        """Left, top, width and height."""
        value = self.values.get(key)
        if not is_box(value):
            raise self.wrong(key, "four finite numbers: left, top, width (0 or more), height (0 or more)")
        return [float(number) for number in value]  # pyright: ignore[reportOptionalIterable]

    def entries(self, key: str) -> Iterator["Entry"]:
        """The objects of a list; only for the whole file."""
        if not isinstance(self.values.get(key), list):
            raise self.wrong(key, "a list")
        return entries_of(self.values[key], f"{self.place}: {key}")

    def mask(self, size: tuple[int, int], key: str = "segmentation") -> dict[str, Any]:
        """A mask of `size` (height, width), from a run-length code or polygons, as a compressed run-length code."""
        value = self.values.get(key)
        if isinstance(value, list) and value:
            return self._polygons(value, size, key)
        code = read_code(value)
        if code is None:
            raise self.wrong(key, "a run-length code (size, counts) whose runs fill its size, or polygons")
        if tuple(code["size"]) != size:
            raise self.wrong(key, f"a mask of the size {list(size)} (height, width)")
        return code

    def _polygons(self, value: list[Any], size: tuple[int, int], key: str) -> dict[str, Any]:
        if not all(isinstance(ring, list) and len(ring) >= 6 and all(map(is_number, ring)) for ring in value):
            raise self.wrong(key, "polygons of at least three points x1, y1, x2, y2, ...")
        masks = needed("pycocotools.mask", "eval")
        return masks.merge(masks.frPyObjects(value, *size))


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: It cannot be read, or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def entries_of(values: Any, place: str) -> Iterator[Entry]:
    """The objects of a list, each with its index.

    Raises:
        ValueError: Not a list, or a member that is no object.
    """
    if not isinstance(values, list):
        raise ValueError(f"{place} must be a list, got {type(values).__name__}.")
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise ValueError(f"{place}[{index}] must be an object, got {type(value).__name__}.")
        yield Entry(value, f"{place}[{index}]")


def read_code(value: Any) -> dict[str, Any] | None:
    """A run-length code with compressed `counts`; `None` if it is none, or its runs do not fill its size."""
    size = value.get("size") if isinstance(value, dict) else None
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
        return None
    try:
        runs_of_rle(value)
    except (ArithmeticError, IndexError, KeyError, TypeError, AttributeError, ValueError):
        return None
    if isinstance(value["counts"], list):
        return needed("pycocotools.mask", "eval").frPyObjects(value, *size)
    return value


def is_number(value: Any) -> bool:
    """Whether this is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def is_box(value: Any) -> bool:
    """Whether this is left, top, width and height."""
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value)) and min(value[2:]) >= 0
