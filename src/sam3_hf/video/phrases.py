"""Phrases: what is looked for, by text, by example boxes on single frames, or both.

text -> tokens, features computed once; boxes by frame -> rows for the detector
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

_PADDING = -10


class Boxes(NamedTuple):
    """Example boxes of one frame, relative to it; a label is 1 for "such objects" and 0 for "not such objects"."""

    boxes_cxcywh: Float[Tensor, "N 4"]
    labels: Int[Tensor, "N"]


@dataclass
class Phrase:
    """One thing that is looked for.

    Attributes:
        text: The words; of boxes alone, the word that stands for them.
        input_ids, attention_mask: Its tokens.
        everywhere: Whether the text applies to all frames; boxes alone are looked for on their own frames.
        boxes: Example boxes by frame.
        features: What the text encoder says of it, once that is known.
    """

    text: str
    input_ids: Int[Tensor, "1 L"]
    attention_mask: Int[Tensor, "1 L"]
    everywhere: bool = True
    boxes: dict[int, Boxes] = field(default_factory=dict)
    features: Any = None

    def searched_on(self, frame_index: int, every: int) -> bool:
        """Whether it is looked for on a frame."""
        return frame_index in self.boxes or (self.everywhere and frame_index % every == 0)


class Phrases(dict[int, Phrase]):
    """What is looked for, by number; the number of what is no longer looked for is not given again.

    Attributes:
        next_number: The number that the next phrase gets.
    """

    def __init__(self, known: Mapping[int, Phrase] | None = None, next_number: int = 0) -> None:
        super().__init__(known or {})
        self.next_number = next_number

    @property
    def texts(self) -> dict[int, str]:
        """Only the words."""
        return {number: phrase.text for number, phrase in self.items()}

    def add(self, phrase: Phrase) -> int:
        """The number of a phrase; that of the same text if it is looked for already."""
        for number, known in self.items():
            if known.text == phrase.text and known.everywhere == phrase.everywhere:
                return number
        self[self.next_number] = phrase
        self.next_number += 1
        return self.next_number - 1

    def find(self, prompt: int | str) -> int:
        """The number of a text, or the number itself.

        Raises:
            ValueError: That is not looked for.
        """
        found = [number for number, phrase in self.items() if prompt in (number, phrase.text)]
        if not found:
            raise ValueError(f"{prompt!r} is not looked for; there are {self.texts}.")
        return found[0]

    def forget_features(self) -> None:
        """Have the text encoder read all texts again, where the model runs now."""
        for phrase in self.values():
            phrase.features = None


def pad_boxes(phrases: list[Phrase], frame_index: int) -> tuple[Float[Tensor, "P N 4"], Int[Tensor, "P N"]] | None:
    """The boxes of a frame, one row per phrase; `None` if no phrase has any."""
    given = [phrase.boxes.get(frame_index) for phrase in phrases]
    most = max((len(boxes.labels) for boxes in given if boxes), default=0)
    if not most:
        return None
    boxes = torch.full((len(phrases), most, 4), float(_PADDING))
    labels = torch.full((len(phrases), most), _PADDING)
    for row, some in enumerate(given):
        if some is not None:
            boxes[row, : len(some.labels)], labels[row, : len(some.labels)] = some.boxes_cxcywh, some.labels
    return boxes, labels
