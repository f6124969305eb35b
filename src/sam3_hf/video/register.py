"""Register: what is known of every object that ever was, in numbers that can be written to a file.

Frames are counted as they are numbered in the video, whatever the direction.
"""

from dataclasses import dataclass, field

# Frames of a kind that are remembered of an object, and ids for which it is known that they are gone.
_LONGEST, _KNOWN = 256, 4096


@dataclass
class Register:
    """Objects by their id. Ids are never used twice, and what is removed stays removed."""

    highest_id: int = -1
    phrase: dict[int, int] = field(default_factory=dict)
    score: dict[int, float] = field(default_factory=dict)
    first_frame: dict[int, int] = field(default_factory=dict)
    keep_alive: dict[int, int] = field(default_factory=dict)
    unmatched_frames: dict[int, list[int]] = field(default_factory=dict)
    shared_frames: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    last_occluded: dict[int, int] = field(default_factory=dict)
    detected_in_a_row: dict[int, int] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    trusted: set[int] = field(default_factory=set)
    unconfirmed: set[int] = field(default_factory=set)

    def add(self, score: float, phrase: int) -> int:
        """A new object; returns its id."""
        self.highest_id += 1
        self.score[self.highest_id] = score
        self.phrase[self.highest_id] = phrase
        return self.highest_id

    def clicked(self, number: int, phrase: int) -> None:
        """An object that the user points at: whatever was decided about it is void, and it is not doubted again."""
        self.highest_id = max(self.highest_id, number)
        self.score[number] = 1.0
        self.phrase.setdefault(number, phrase)
        self.removed.discard(number)
        self.trusted.add(number)
        self.confirmed.add(number)

    def forget(self, number: int) -> None:
        """An object that the user takes away."""
        for table in (self.phrase, self.score, self.first_frame, self.keep_alive, self.unmatched_frames):
            table.pop(number, None)
        for table in (self.last_occluded, self.detected_in_a_row):
            table.pop(number, None)
        self.confirmed.discard(number)
        self.trusted.discard(number)
        self.shared_frames = {pair: frames for pair, frames in self.shared_frames.items() if number not in pair}
        self.removed.add(number)

    def prune(self) -> None:
        """Let go of what no later decision asks for, so that an endless stream can be followed."""
        for number in self.removed & self.first_frame.keys():
            for table in (self.first_frame, self.keep_alive, self.unmatched_frames, self.detected_in_a_row):
                table.pop(number, None)
        self.shared_frames = {
            pair: frames[-_LONGEST:] for pair, frames in self.shared_frames.items() if not self.removed & set(pair)
        }
        self.unmatched_frames = {number: frames[-_LONGEST:] for number, frames in self.unmatched_frames.items()}
        for number in [number for number in self.removed if number < self.highest_id - _KNOWN]:
            self.removed.discard(number)
            self.phrase.pop(number, None)
            self.score.pop(number, None)
