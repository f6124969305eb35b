"""Buckets: objects that were born on the same frame are remembered together.

new objects -> Bucket -> fewer objects -> nothing left, the bucket goes
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from sam3_hf.video.state import MemoryBank


@dataclass
class Bucket:
    """Objects by id, in the order of their rows in the memory.

    Attributes:
        ids: The objects.
        bank: Their memory.
        clicked: Frames on which the user showed one of them; the other conditioning frames come from the detector.
    """

    ids: list[int]
    bank: MemoryBank
    clicked: set[int] = field(default_factory=set)

    def without(self, gone: Collection[int]) -> "Bucket | None":
        """The objects that stay; `None` if there are none."""
        rows = [row for row, number in enumerate(self.ids) if number not in gone]
        if 0 < len(rows) < len(self.ids):
            self.bank.keep(rows)
            self.ids = [self.ids[row] for row in rows]
        return self if rows else None

    def split(self, number: int) -> "Bucket":
        """A bucket of one object's own, with what is remembered of it; this one is left without it."""
        row, rest = [self.ids.index(number)], [n for n in self.ids if n != number]
        own = {
            name: {f: m.rows(row) for f, m in getattr(self.bank, name).items()} for name in ("conditioning", "tracked")
        }
        bucket = Bucket([number], replace(self.bank, objects=1, **own), set(self.clicked))
        self.bank.keep([self.ids.index(n) for n in rest])
        self.ids = rest
        return bucket

    def trust_click(self, frame_index: int, window: int) -> None:
        """What the detector showed near a click is no longer held on to."""
        self.clicked.add(frame_index)
        for shown in [shown for shown in self.bank.conditioning if shown not in self.clicked]:
            if abs(shown - frame_index) <= window:
                self.bank.downgrade(shown)


def all_ids(buckets: Iterable[Bucket]) -> list[int]:
    """Every object, bucket after bucket."""
    return [number for bucket in buckets for number in bucket.ids]
