"""Mask decoder: what was said about an object, and the image, become masks of that object.

prompt tokens [R, T, C] + own tokens -.
image [B, C, H, W] + mask grid -------+-> two-way transformer -> mask tokens [R, M, C] -.
levels 4x, 2x of the image [B, c, _, _] ---------------------> pixels [R, C/8, 4H, 4W] -+-> masks [R, M, 4H, 4W]
"""

from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers.activations import ACT2FN

from sam3_hf.configuration_sam3_tracker import Sam3TrackerMaskDecoderConfig
from sam3_hf.layers.embedding import all_rows
from sam3_hf.ops.products import paired
from sam3_hf.ops.stability import stability
from sam3_hf.ops.tokens import PaddedTokens, join, to_grid, to_tokens
from sam3_hf.tracker.heads import Mlp
from sam3_hf.tracker.norm import ChannelNorm
from sam3_hf.tracker.prompt_encoder import EncodedPrompt
from sam3_hf.tracker.rows import a_few_at_a_time, in_bands, per_object
from sam3_hf.tracker.two_way_transformer import TwoWayTransformer


class ImageLevels(NamedTuple):
    """An image as the decoder reads it: finest level, next level, both narrowed, and the patch grid."""

    finest: Float[Tensor, "B c4 H4 W4"]
    finer: Float[Tensor, "B c2 H2 W2"]
    patches: Float[Tensor, "B C H W"]


class ObjectMasks(NamedTuple):
    """Mask logits, the quality expected of each, whether there is an object at all, and the tokens behind the masks."""

    logits: Float[Tensor, "R M h w"]
    iou_scores: Float[Tensor, "R M"]
    object_score_logits: Float[Tensor, "R 1"]
    tokens: Float[Tensor, "R m C"]


class MaskDecoder(nn.Module):
    """The first mask is for clear prompts, the others are what a prompt may mean: a part, the thing, its group."""

    def __init__(self, config: Sam3TrackerMaskDecoderConfig) -> None:
        super().__init__()
        self.config = config
        width, masks = config.hidden_size, config.num_multimask_outputs + 1
        self.obj_score_token = nn.Embedding(1, width)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(masks, width)
        self.transformer = TwoWayTransformer(config)
        self.conv_s0 = nn.Conv2d(width, width // 8, 1)
        self.conv_s1 = nn.Conv2d(width, width // 4, 1)
        self.upscale_conv1 = nn.ConvTranspose2d(width, width // 4, 2, 2)
        self.upscale_layer_norm = ChannelNorm(width // 4, eps=1e-6)
        self.upscale_conv2 = nn.ConvTranspose2d(width // 4, width // 8, 2, 2)
        self.activation = ACT2FN[config.hidden_act]
        self.output_hypernetworks_mlps = nn.ModuleList(Mlp(width, width, width // 8) for _ in range(masks))
        self.iou_prediction_head = Mlp(width, config.iou_head_hidden_dim, masks, config.iou_head_depth)
        self.pred_obj_score_head = Mlp(width, width, 1)

    def narrow(self, levels: tuple[Tensor, ...]) -> ImageLevels:
        """Levels of the neck as the decoder reads them; done once per image, not per prompt."""
        # In memory as the enlarged tokens are that they are added to: channels side by side.
        finest = self.conv_s0(levels[0]).contiguous(memory_format=torch.channels_last)
        finer = self.conv_s1(levels[1]).contiguous(memory_format=torch.channels_last)
        return ImageLevels(finest, finer, levels[2])

    def forward(
        self, image: ImageLevels, positions: Float[Tensor, "1 C H W"], prompt: EncodedPrompt, several: bool
    ) -> ObjectMasks:
        """Masks of every object: several for each, or the one that is meant."""
        objects = len(prompt.tokens.values)
        tokens = join(self._own_tokens(objects, prompt.tokens.values), prompt.tokens)
        patches = image.patches
        patches = (patches if len(prompt.grid) == 1 else per_object(patches, objects)) + prompt.grid
        images = (patches, positions, image.finer, image.finest)
        # Half of the work is on a few tokens, in calls that take as long for many objects as for one.
        painted = ObjectMasks(*a_few_at_a_time(self._paint, (tokens.values, tokens.valid), images, times=2))
        return self._others(painted) if several else self._single(painted)

    def _paint(
        self,
        tokens: Float[Tensor, "R T C"],
        valid: Bool[Tensor, "R T"],
        patches: Float[Tensor, "r C H W"],
        positions: Float[Tensor, "1 C H W"],
        *finer: Float[Tensor, "B _ _ _"],
    ) -> ObjectMasks:
        """All masks of objects."""
        read = self.transformer(tokens, valid, to_tokens(patches), to_tokens(positions))
        presence, quality, masks = read.tokens[:, 0], read.tokens[:, 1], read.tokens[:, 2 : 2 + self._masks]
        brushes = torch.stack([mlp(masks[:, n]) for n, mlp in enumerate(self.output_hypernetworks_mlps)], 1)
        levels = (to_grid(read.image, (patches.shape[2], patches.shape[3])), *finer)
        logits = in_bands(partial(self._draw, brushes), *(level.transpose(1, 2) for level in levels)).transpose(1, 2)
        return ObjectMasks(
            logits, self.iou_prediction_head(quality).sigmoid(), self.pred_obj_score_head(presence), masks
        )

    @property
    def _masks(self) -> int:
        return self.config.num_multimask_outputs + 1

    def _own_tokens(self, objects: int, like: Tensor) -> PaddedTokens:
        """The decoder's tokens, for every object: is it there, how good are the masks, and one per mask."""
        tables = (self.obj_score_token, self.iou_token, self.mask_tokens)
        tokens = torch.cat([all_rows(table, like) for table in tables]).expand(objects, -1, -1)
        return PaddedTokens(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device))

    def _draw(self, brushes: Float[Tensor, "R M c"], *levels: Float[Tensor, "_ _ _ _"]) -> Float[Tensor, "R h M w"]:
        """Masks of a few rows of the grid, each the likeness of a brush and every pixel."""
        pixels = self._pixels(*(level.transpose(1, 2) for level in levels))
        return paired(brushes, to_tokens(pixels)).unflatten(2, pixels.shape[2:]).transpose(1, 2)

    def _pixels(
        self, grid: Float[Tensor, "R C H W"], finer: Float[Tensor, "B c2 h2 w2"], finest: Float[Tensor, "B c h w"]
    ) -> Float[Tensor, "R c h w"]:
        """Enlarge twice, adding the finer level each time."""
        x = self.upscale_conv1(grid).add_(per_object(finer, len(grid)))
        x = self.activation(self.upscale_layer_norm(x))
        return self.activation(self.upscale_conv2(x).add_(per_object(finest, len(grid))))

    def _others(self, masks: ObjectMasks) -> ObjectMasks:
        """What an ambiguous prompt may mean."""
        return ObjectMasks(masks.logits[:, 1:], masks.iou_scores[:, 1:], masks.object_score_logits, masks.tokens[:, 1:])

    def _single(self, masks: ObjectMasks) -> ObjectMasks:
        """The mask for unambiguous prompts; where it is unstable, the best of the others, outside of training."""
        first = ObjectMasks(
            masks.logits[:, :1], masks.iou_scores[:, :1], masks.object_score_logits, masks.tokens[:, :1]
        )
        if self.training or not self.config.dynamic_multimask_via_stability:
            return first
        config, rows = self.config, torch.arange(len(masks.logits), device=masks.logits.device)
        held = stability(first.logits, 0.0, config.dynamic_multimask_stability_delta)
        stable = held >= config.dynamic_multimask_stability_thresh
        best = masks.iou_scores[:, 1:].argmax(1) + 1
        logits = torch.where(stable[..., None, None], first.logits, masks.logits[rows, best].unsqueeze(1))
        scores = torch.where(stable, first.iou_scores, masks.iou_scores[rows, best].unsqueeze(1))
        # Parity: the token stays that of the first mask, whichever mask is shown.
        return ObjectMasks(logits, scores, first.object_score_logits, first.tokens)
