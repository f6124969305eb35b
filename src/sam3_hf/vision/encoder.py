"""Vision encoder: an image becomes feature maps that every later part reads.

pixel_values [B, 3, S, S] -> ViT -> tokens [B, H*W, C] -> neck -> levels [B, D, s*H, s*W] and their positions
"""

import math
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from transformers.utils.generic import can_return_tuple

from sam3_hf.configuration_sam3 import Sam3VisionConfig
from sam3_hf.modeling_base import Sam3PreTrainedModel
from sam3_hf.modeling_outputs import Sam3VisionEncoderOutput
from sam3_hf.ops.positions import grid_positions
from sam3_hf.ops.tokens import to_grid
from sam3_hf.vision.backbone import Sam3ViTModel
from sam3_hf.vision.neck import Neck


class Sam3VisionModel(Sam3PreTrainedModel):
    """Vision transformer and neck.

    Args:
        config: Sizes of both.
    """

    config_class = Sam3VisionConfig
    config: Sam3VisionConfig

    def __init__(self, config: Sam3VisionConfig) -> None:
        super().__init__(config)
        self.backbone = Sam3ViTModel(config.backbone_config)
        self.neck = Neck(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The patch projection."""
        return self.backbone.get_input_embeddings()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Float[Tensor, "B c H W"],
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        coarsest: float = 0.0,
    ) -> Sam3VisionEncoderOutput:
        """Turn images into feature maps; arguments and errors as `Sam3ViTModel.forward`.

        Maps of a scale below `coarsest` are left out: detector and tracker read none coarser than the patch grid, 1.0.
        """
        return self.pyramid(self.backbone(pixel_values, output_attentions, output_hidden_states), coarsest)

    def pyramid(self, tokens: Any, coarsest: float = 0.0) -> Sam3VisionEncoderOutput:
        """This encoder's feature maps, from tokens of its ViT or of another encoder's that shares it.

        Args:
            tokens: Has the tokens of square images as `last_hidden_state`; hidden states and attentions are passed on.
            coarsest: The smallest scale that is wanted.
        """
        side = math.isqrt(tokens.last_hidden_state.shape[1])
        levels = self.neck(to_grid(tokens.last_hidden_state, (side, side)), coarsest)
        return Sam3VisionEncoderOutput(
            last_hidden_state=tokens.last_hidden_state,
            fpn_hidden_states=levels,
            fpn_position_encoding=tuple(
                grid_positions((level.shape[2], level.shape[3]), level.shape[1], level).expand_as(level)
                for level in levels
            ),
            hidden_states=tokens.hidden_states,
            attentions=tokens.attentions,
        )
