"""Labels for the tiny model's recorded batch of two prompt rows, of every kind."""

import torch
from torch import Tensor

BOXES = torch.tensor([[0.3, 0.3, 0.4, 0.3], [0.7, 0.6, 0.3, 0.5]])
NONE = {"boxes": BOXES[:0]}


def masks(side: int = 96) -> Tensor:
    """Two rectangles that fill `BOXES`."""
    drawn = torch.zeros(2, side, side, dtype=torch.bool)
    for mask, (x, y, width, height) in zip(drawn, (BOXES * side).tolist(), strict=True):
        mask[round(y - height / 2) : round(y + height / 2), round(x - width / 2) : round(x + width / 2)] = True
    return drawn


BATCHES: dict[str, list[dict[str, Tensor]]] = {
    "boxes and masks": [{"boxes": BOXES, "masks": masks()}, {"boxes": BOXES[:1], "masks": masks()[:1]}],
    "boxes alone": [{"boxes": BOXES}, {"boxes": BOXES[1:]}],
    "masks alone": [{"masks": masks()}, {"masks": masks()[:1]}],
    "negatives alone": [NONE, NONE],
    "negatives with masks": [{"masks": masks()[:0]}, NONE],
    "mixed": [{"boxes": BOXES, "masks": masks(), "mask_valid": torch.tensor([True, False])}, NONE],
    "semantic": [{"boxes": BOXES, "semantic_mask": masks().any(0)}, {"boxes": BOXES}],
}
