"""What was said about one object on one frame of a video.

clicks, a box as two of them, or a mask -> ObjectPrompt
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.utils import logging

logger = logging.get_logger(__name__)

# More points than this were never seen in training; the first and the last of them are kept.
_MOST_POINTS = 16


@dataclass(frozen=True)
class ObjectPrompt:
    """Points, the corners of a box first; or a mask.

    Attributes:
        points: x and y in pixels of the model's input, on the CPU.
        labels: What each point says, as in `Sam3TrackerModel.forward`.
        mask: Mask at any size, 0 to 1; `None` for points.
        use_memory: Whether a correction also looks at what is remembered.
    """

    points: Float[Tensor, "N 2"]
    labels: Int[Tensor, "N"]
    mask: Float[Tensor, "1 h w"] | None = None
    use_memory: bool = False

    @classmethod
    def of_mask(cls, mask: Float[Tensor, "1 h w"]) -> "ObjectPrompt":
        """A mask, and no points."""
        return cls(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), mask)

    def after(self, earlier: "ObjectPrompt | None") -> "ObjectPrompt":
        """These points, with those of an earlier prompt before them."""
        if earlier is None:
            return self
        return replace(
            self, points=torch.cat([earlier.points, self.points]), labels=torch.cat([earlier.labels, self.labels])
        )

    def kept(self) -> "ObjectPrompt":
        """The points that a model takes: of too many, the first and the last."""
        if len(self.points) <= _MOST_POINTS:
            return self
        half = _MOST_POINTS // 2
        logger.warning("Of %d points on an object, the first and the last %d are used.", len(self.points), half)
        return replace(
            self,
            points=torch.cat([self.points[:half], self.points[-half:]]),
            labels=torch.cat([self.labels[:half], self.labels[-half:]]),
        )
