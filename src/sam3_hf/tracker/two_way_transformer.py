"""Two-way transformer: the tokens of each object and the image read each other.

tokens [R, T, C], image [B or R, N, C] -> tokens [R, T, C], image [R, N, C]
"""

from functools import partial
from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from sam3_hf.configuration_sam3_tracker import Sam3TrackerMaskDecoderConfig
from sam3_hf.layers.attention import padding_mask
from sam3_hf.layers.norm import layer_norm
from sam3_hf.tracker.attention import ObjectAttention
from sam3_hf.tracker.heads import Mlp
from sam3_hf.tracker.rows import in_bands, per_object


class Places(NamedTuple):
    """What joins queries and keys in every layer: each token as it first was, and where each cell of the image is."""

    tokens: Float[Tensor, "R T C"]
    image: Float[Tensor, "1 N C"]
    mask: Bool[Tensor, "R 1 1 T"]


class BothWays(NamedTuple):
    """The two sides after each has read the other."""

    tokens: Float[Tensor, "R T C"]
    image: Float[Tensor, "r N C"]


class TwoWayLayer(GradientCheckpointingLayer):
    """Tokens look at each other and at the image, then the image looks at the tokens; each norm comes after."""

    def __init__(self, config: Sam3TrackerMaskDecoderConfig) -> None:
        super().__init__()
        width, rate = config.hidden_size, config.attention_downsample_rate
        self.self_attn = ObjectAttention(config)
        self.layer_norm1 = layer_norm(width)
        self.cross_attn_token_to_image = ObjectAttention(config, rate)
        self.layer_norm2 = layer_norm(width)
        self.mlp = Mlp(width, config.mlp_dim, width, depth=2)
        self.layer_norm3 = layer_norm(width)
        self.cross_attn_image_to_token = ObjectAttention(config, rate)
        self.layer_norm4 = layer_norm(width)

    def forward(self, tokens: Float[Tensor, "R T C"], image: Float[Tensor, "r N C"], places: Places) -> BothWays:
        """Positions join queries and keys, never values."""
        tokens = self.layer_norm1(self.look_around(tokens, places))
        seen = self.cross_attn_token_to_image(tokens + places.tokens, image + places.image, image)
        tokens = self.layer_norm2(tokens + seen.output)
        tokens = self.layer_norm3(tokens + self.mlp(tokens))
        return BothWays(tokens, in_bands(partial(self.tell, tokens, places), image, places.image))

    def tell(
        self, tokens: Float[Tensor, "R T C"], places: Places, image: Float[Tensor, "r n C"], cells: Tensor
    ) -> Float[Tensor, "R n C"]:
        """Some cells of the image look at the tokens; `cells` is where they are."""
        told = self.cross_attn_image_to_token(image + cells, tokens + places.tokens, tokens, places.mask)
        return self.layer_norm4(told.output.add_(per_object(image, len(tokens))))

    def look_around(self, tokens: Float[Tensor, "R T C"], places: Places) -> Float[Tensor, "R T C"]:
        """Tokens of an object look at each other."""
        x = tokens + places.tokens
        return tokens + self.self_attn(x, x, tokens, places.mask).output


class FirstTwoWayLayer(TwoWayLayer):
    """The layer that meets the tokens as they came."""

    def look_around(self, tokens: Float[Tensor, "R T C"], places: Places) -> Float[Tensor, "R T C"]:
        """Tokens, which are their own places still, give way to what they see."""
        # Parity: no residual here.
        return self.self_attn(tokens, tokens, tokens, places.mask).output


class TwoWayTransformer(nn.Module):
    """All layers, and a last look of the tokens at the image."""

    def __init__(self, config: Sam3TrackerMaskDecoderConfig) -> None:
        super().__init__()
        later = (TwoWayLayer(config) for _ in range(config.num_hidden_layers - 1))
        self.layers = nn.ModuleList([FirstTwoWayLayer(config), *later])
        self.final_attn_token_to_image = ObjectAttention(config, config.attention_downsample_rate)
        self.layer_norm_final_attn = layer_norm(config.hidden_size)

    def forward(
        self,
        prompt: Float[Tensor, "R T C"],
        valid: Bool[Tensor, "R T"],
        image: Float[Tensor, "r N C"],
        positions: Float[Tensor, "1 N C"],
    ) -> BothWays:
        """Go through the layers; the image starts as one for all objects where no mask tells them apart."""
        places = Places(prompt, positions, padding_mask(valid))
        tokens = prompt
        for layer in self.layers:
            tokens, image = layer(tokens, image, places)
        seen = self.final_attn_token_to_image(tokens + prompt, image + positions, image)
        return BothWays(self.layer_norm_final_attn(tokens + seen.output), image)
