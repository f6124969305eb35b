"""Small made-up memories."""

import torch

from sam3_hf.video.state import FrameMemory


def frame_memory(objects: int = 1, value: float = 0.0, presence: float = 5.0, iou: float = 0.9) -> FrameMemory:
    """Memory of a frame that is full of one value; good enough to be looked at."""
    return FrameMemory(
        pointers=torch.full((objects, 8), value),
        object_score_logits=torch.full((objects, 1), presence),
        features=torch.full((objects, 4, 3, 3), value, dtype=torch.bfloat16),
        masks=torch.full((objects, 1, 12, 12), value),
        presence=(presence,) * objects,
        ious=(iou,) * objects,
    )
