"""Prompts: example boxes as the geometry encoder wants them, for rows with many boxes, few or none.

input_boxes [P, N, 4], input_boxes_labels [P, N] (1, 0 or -10 for padding) -> BoxPrompt
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PADDING = -10


class BoxPrompt(NamedTuple):
    """Example boxes of each prompt row: where, positive (1) or negative (0), and whether real at all."""

    boxes_cxcywh: Float[Tensor, "P N 4"]
    labels: Int[Tensor, "P N"]
    valid: Bool[Tensor, "P N"]

    @classmethod
    def empty(cls, rows: int, device: torch.device) -> "BoxPrompt":
        """Text only: no boxes, but the same road."""
        boxes = torch.zeros(rows, 0, 4, device=device)
        return cls(boxes, labels=boxes[..., 0].long(), valid=boxes[..., 0].bool())

    @classmethod
    def of(cls, boxes: Float[Tensor, "P N 4"], labels: Int[Tensor, "P N"] | None) -> "BoxPrompt":
        """Boxes and labels as the processor pads them; without labels every box is a positive example."""
        labels = torch.ones_like(boxes[..., 0], dtype=torch.long) if labels is None else labels.long()
        valid = labels != PADDING
        return cls(boxes.float().masked_fill(~valid[..., None], 0.0), labels.masked_fill(~valid, 0), valid)

    def expand(self, rows: int) -> "BoxPrompt":
        """Repeat a single row of boxes for every prompt row."""
        return BoxPrompt(*(part.expand(rows, *part.shape[1:]) for part in self))
