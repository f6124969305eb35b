"""Seeing: one pass of the shared ViT per frame, read by detector and tracker.

pixel_values [1, 3, S, S] -> ViT -> tokens -> detector's neck -> levels
                                        \\--> tracker's neck --> image
"""

import math
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from sam3_hf.configuration_sam3_video import Sam3VideoConfig
from sam3_hf.modeling_outputs import Sam3VisionEncoderOutput
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.ops.tokens import to_grid
from sam3_hf.tracker.mask_decoder import ImageLevels
from sam3_hf.video.concept_session import Sam3VideoInferenceSession
from sam3_hf.video.memory_selection import Visit


class Parts(NamedTuple):
    """The networks, and the rules by which they work together."""

    detector: Sam3Model
    tracker: Any
    tracker_neck: Any
    config: Sam3VideoConfig


class Sight(NamedTuple):
    """A frame as the detector and as the tracker read it."""

    vision: Sam3VisionEncoderOutput
    image: ImageLevels

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image.patches.shape[-1]


class Scene(NamedTuple):
    """A frame that is gone through: networks and rules, the video, what is seen, which frame it is."""

    parts: Parts
    session: Sam3VideoInferenceSession
    sight: Sight
    visit: Visit


def see(parts: Parts, pixel_values: Float[Tensor, "3 S S"]) -> Sight:
    """Look at a frame; neither detector nor tracker reads maps that are coarser than the patch grid."""
    vision: Any = parts.detector.vision_encoder(pixel_values[None], coarsest=1.0, return_dict=True)
    side = math.isqrt(vision.last_hidden_state.shape[1])
    levels = parts.tracker_neck(to_grid(vision.last_hidden_state, (side, side)), coarsest=1.0)
    return Sight(vision, parts.tracker.see(levels))
