"""Vision transformer: an image becomes a grid of tokens.

pixel_values [B, 3, S, S] -> patches [B, H, W, C] -> blocks, windowed or global -> tokens [B, H*W, C]

Tokens of a large grid lie window by window from the first block to the last: attention over the whole grid does not
care about their order, and windows need not be cut out again in every block.
"""

from functools import partial
from itertools import repeat

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils.generic import can_return_tuple

from sam3_hf.configuration_sam3 import Sam3ViTConfig
from sam3_hf.layers.attention import Attention
from sam3_hf.layers.drop_path import DropPath
from sam3_hf.layers.mlp import FeedForward
from sam3_hf.modeling_base import Sam3PreTrainedModel, recording
from sam3_hf.ops.products import by_row, linear
from sam3_hf.ops.rotary import RotaryTable, rotary_table
from sam3_hf.ops.windows import Windows


def square_side(length: int | list[int] | tuple[int, int], name: str) -> int:
    """The one side of a square length, given as a number or as a pair of equal numbers."""
    sides = {length} if isinstance(length, int) else set(length)
    if len(sides) != 1:
        raise ValueError(f"{name} must be square, got {length}.")
    return sides.pop()


# Images of so many numbers fill the processor's cache alone.
_LARGE = 3 * 448**2
# Windows of a grid of fewer tokens are cut out again within the cache, in every block.
_MANY = 1024


class PatchProjection(nn.Conv2d):
    """A convolution whose stride is its side: a matrix product, and faster as one."""

    def forward(self, input: Float[Tensor, "B c S S"]) -> Float[Tensor, "B C H W"]:
        """Cut out the patches, then multiply."""
        height, width = self.kernel_size
        cut = input.unflatten(3, (-1, width)).unflatten(2, (-1, height))  # [B, c, H, p, W, p]
        patches = cut.permute(0, 2, 4, 1, 3, 5).flatten(3)  # [B, H, W, c*p*p]
        return linear(patches, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class PatchEmbeddings(nn.Module):
    """Cut the image into patches and project each."""

    def __init__(self, config: Sam3ViTConfig) -> None:
        super().__init__()
        patch = square_side(config.patch_size, "patch_size")
        self.projection = PatchProjection(config.num_channels, config.hidden_size, patch, patch, bias=False)

    def forward(self, pixel_values: Float[Tensor, "B c S S"]) -> Float[Tensor, "B H W C"]:
        """One token per patch."""
        return self.projection(pixel_values).permute(0, 2, 3, 1)


class Embeddings(nn.Module):
    """Patches plus where they are."""

    def __init__(self, config: Sam3ViTConfig) -> None:
        super().__init__()
        patch = square_side(config.patch_size, "patch_size")
        self.side = square_side(config.pretrain_image_size, "pretrain_image_size") // patch
        self.patch_embeddings = PatchEmbeddings(config)
        self.position_embeddings = nn.Parameter(torch.zeros(1, self.side**2, config.hidden_size))
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, pixel_values: Float[Tensor, "B c S S"]) -> Float[Tensor, "B H W C"]:
        """Embed the patches; the learned positions are repeated like tiles, not stretched."""
        patches = self.patch_embeddings(pixel_values)
        height, width = patches.shape[1:3]
        tile = self.position_embeddings.unflatten(1, (self.side, self.side))
        tiles = tile.repeat(1, -(-height // self.side), -(-width // self.side), 1)
        return self.dropout(patches + tiles[:, :height, :width])


class ViTLayer(GradientCheckpointingLayer):
    """One block, of attention within windows or over the whole grid."""

    def __init__(self, config: Sam3ViTConfig, drop_path: float = 0.0) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = Attention(config, config.attention_dropout)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = FeedForward(config, config.hidden_dropout)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Float[Tensor, "B N C"], rotary: RotaryTable, windows: Windows) -> Float[Tensor, "B N C"]:
        """Tokens of a window look at each other, then each thinks for itself."""
        # Parity: padding of a window is zero after the norm and is attended to like any token.
        x = windows.apart(self.layer_norm1(tokens))
        x = self.attention(x, x, x, rotary=rotary).output
        tokens = tokens + self.drop_path(windows.together(x))
        return tokens + self.drop_path(self.dropout(self.mlp(self.layer_norm2(tokens))))


class Sam3ViTModel(Sam3PreTrainedModel):
    """The bare vision transformer.

    Args:
        config: Sizes of the model.
    """

    config_class = Sam3ViTConfig
    config: Sam3ViTConfig

    def __init__(self, config: Sam3ViTConfig) -> None:
        super().__init__(config)
        if config.layer_scale_init_value is not None:
            raise ValueError("layer_scale_init_value must be None: no SAM 3 checkpoint has a layer scale.")
        self.patch = square_side(config.patch_size, "patch_size")
        self.embeddings = Embeddings(config)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        whole = config.global_attn_indexes
        self.windows = [0 if index in whole else config.window_size for index in range(config.num_hidden_layers)]
        depth = max(config.num_hidden_layers - 1, 1)
        rates = [config.drop_path_rate * index / depth for index in range(config.num_hidden_layers)]
        self.layers = nn.ModuleList(map(ViTLayer, repeat(config), rates))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The patch projection."""
        return self.embeddings.patch_embeddings

    @can_return_tuple
    def forward(
        self,
        pixel_values: Float[Tensor, "B c H W"],
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutput:
        """Turn images into tokens.

        Args:
            pixel_values: Normalised images (batch, channels, side, side), the side a multiple of the patch size.
            output_attentions: Also return attention weights per block, (batch * windows, heads, tokens, tokens);
                needs `attn_implementation="eager"`.
            output_hidden_states: Also return the embeddings and the tokens after each block.
            return_dict: `False` for a tuple.

        Returns:
            `last_hidden_state` (batch, patches, hidden_size), row by row.

        Raises:
            ValueError: The image is not square or not a multiple of the patch size.
        """
        self._check_size(pixel_values)
        layers = {"hidden_states": ViTLayer, "attentions": Attention}
        with recording(self, layers, output_hidden_states, output_attentions) as seen:
            encode = partial(self._encode, in_rows=bool(seen.layers))
            (tokens,) = encode(pixel_values) if seen.layers else by_row(encode, pixel_values, least=_LARGE)
        return BaseModelOutput(last_hidden_state=tokens, hidden_states=seen.states(), attentions=seen.weights())

    def _encode(self, pixel_values: Float[Tensor, "B c H W"], in_rows: bool) -> tuple[Float[Tensor, "B N C"]]:
        """All blocks; `in_rows` keeps tokens row by row between them."""
        grid = self.embeddings(pixel_values.to(self.embeddings.patch_embeddings.projection.weight.dtype))
        grid = self.layer_norm(grid)
        side, window = grid.shape[1], self.config.window_size
        cut = Windows(window, side, in_order=not in_rows and side % window == 0 and side**2 >= _MANY)
        whole = self._rotary(side, grid).arranged(lambda angles: cut.arrange(angles[None])[0])
        ways = {0: (whole, Windows(side, side, in_order=True)), window: (self._rotary(window, grid), cut)}
        tokens = cut.arrange(grid.flatten(1, 2))
        for layer, kind in zip(self.layers, self.windows, strict=True):
            tokens = layer(tokens, *ways[kind])
        return (cut.restore(tokens),)

    def _rotary(self, side: int, like: Tensor) -> RotaryTable:
        head_size = self.config.hidden_size // self.config.num_attention_heads
        return rotary_table(side, self.config.window_size, head_size, self.config.rope_theta, like)

    def _check_size(self, pixel_values: Tensor) -> None:
        height, width = pixel_values.shape[-2:]
        if height == width and height % self.patch == 0 and height > 0:
            return
        below = max(max(height, width) // self.patch, 1) * self.patch
        raise ValueError(
            f"pixel_values must be square with a side that is a multiple of {self.patch}; got {height} x {width}. "
            f"The nearest valid sizes are {below} x {below} and {below + self.patch} x {below + self.patch}."
        )
