"""Draws from a random generator, on `random` and `integers` alone, whose streams are the same everywhere.

(seed, number) -> generator -> pick, between, happens
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def generator(*numbers: int) -> np.random.Generator:
    """A generator of its own for these numbers (0 or more each)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(numbers)))


def happens(rng: np.random.Generator, share: float) -> bool:
    """True in this share of draws."""
    return bool(rng.random() < share)


def between(rng: np.random.Generator, low: int | float, high: int | float) -> float:
    """A number of this range, each as likely."""
    return low + (high - low) * float(rng.random())


def pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    """One of the items, each as likely."""
    return items[int(rng.integers(len(items)))]


def weighted(rng: np.random.Generator, weights: dict[Item, float]) -> Item:
    """One of the keys, as likely as its weight says."""
    rest = float(rng.random()) * sum(weights.values())
    for item, weight in weights.items():
        rest -= weight
        if rest < 0:
            return item
    return next(reversed(weights))


def shuffled(rng: np.random.Generator, items: Sequence[Item]) -> list[Item]:
    """The items in any order."""
    return [items[i] for i in np.argsort(rng.random(len(items)), kind="stable")]
