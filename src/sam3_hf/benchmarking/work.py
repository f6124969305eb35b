"""The arithmetic of the model, from its configuration: what every part multiplies, and in which shapes.

configuration, images, prompts, texts, boxes, side -> {part: matrix products, attentions, convolutions}

A matrix product [m, k] x [k, n] is 2mkn floating-point operations, an attention of q queries and k keys of width d is
4qkd per head, and a convolution of side s is 2 s^2 C C' per place. A patch projection, a transposed convolution whose
stride is its side, and a convolution of side 1 are matrix products; pooling a box is two small ones. Norms,
activations, softmax, resizing, rotary embeddings and copies are left out, and so is the pyramid level that no later
part reads. Work on several prompts is that on one, times their number, whatever a model can share among them.
"""

import math
from typing import NamedTuple

from transformers import CLIPTextConfig

from sam3_hf.configuration_sam3 import DetectorTransformerConfig, Sam3Config


class Product(NamedTuple):
    """`times` matrix products [rows, inner] x [inner, columns]."""

    rows: int
    inner: int
    columns: int
    times: int = 1

    @property
    def flops(self) -> int:
        """Of all of them."""
        return 2 * self.rows * self.inner * self.columns * self.times


class Reading(NamedTuple):
    """`times` attentions: in each of `batch` rows, `queries` read `keys`, in `heads` heads of `width`."""

    batch: int
    heads: int
    queries: int
    keys: int
    width: int
    times: int = 1

    @property
    def flops(self) -> int:
        """Of all of them."""
        return 4 * self.batch * self.heads * self.queries * self.keys * self.width * self.times


class Convolution(NamedTuple):
    """`times` convolutions of side 3 over `batch` grids of `side` squared, from `channels` to as many."""

    batch: int
    channels: int
    side: int
    times: int = 1

    @property
    def flops(self) -> int:
        """Of all of them."""
        return 2 * 9 * self.channels**2 * self.batch * self.side**2 * self.times


Operation = Product | Reading | Convolution


class Load(NamedTuple):
    """How much the model is asked: images of `side` pixels, texts, prompt rows, and example boxes per row.

    `length` is that of the longest text in tokens, which is all that the text encoder reads; 0 for the longest that
    there is.
    """

    images: int = 1
    texts: int = 1
    rows: int = 1
    boxes: int = 0
    side: int = 1008
    length: int = 0


def work_of(config: Sam3Config, load: Load) -> dict[str, list[Operation]]:
    """What each part computes; `forward` is all of it."""
    parts = {
        "vision": _vision(config, load),
        "text": _text(config, load),
        "geometry": _geometry(config, load),
        "encoder": _encoder(config, load),
        "decoder": _decoder(config, load),
        "masks": _masks(config, load),
    }
    return parts | {"forward": [operation for part in parts.values() for operation in part]}


def flops(operations: list[Operation]) -> int:
    """Floating-point operations of all."""
    return sum(operation.flops for operation in operations)


def _grid(config: Sam3Config, load: Load) -> int:
    return load.side // config.vision_config.backbone_config.patch_size


def _prompt_length(config: Sam3Config, load: Load) -> int:
    return config.text_config.max_position_embeddings + load.boxes + 1


def _attention(width: int, heads: int, batch: int, queries: int, keys: int, times: int) -> list[Operation]:
    """Projections of queries and outputs, of keys and values, and the attention itself."""
    projections = [Product(batch * queries, width, width, 2 * times), Product(batch * keys, width, width, 2 * times)]
    return [*projections, Reading(batch, heads, queries, keys, width // heads, times)]


def _feed_forward(tokens: int, width: int, inner: int, times: int) -> list[Operation]:
    return [Product(tokens, width, inner, times), Product(tokens, inner, width, times)]


def _vision(config: Sam3Config, load: Load) -> list[Operation]:
    vit, grid, images = config.vision_config.backbone_config, _grid(config, load), load.images
    width, heads, tokens = vit.hidden_size, vit.num_attention_heads, images * grid**2
    whole = len(vit.global_attn_indexes)
    windowed, windows = vit.num_hidden_layers - whole, images * math.ceil(grid / vit.window_size) ** 2
    return [
        Product(tokens, vit.num_channels * vit.patch_size**2, width),
        *_attention(width, heads, windows, vit.window_size**2, vit.window_size**2, windowed),
        *_attention(width, heads, images, grid**2, grid**2, whole),
        *_feed_forward(tokens, width, vit.intermediate_size, vit.num_hidden_layers),
        *_neck(config, load),
    ]


def _neck(config: Sam3Config, load: Load) -> list[Operation]:
    """Each doubling of the grid halves the channels; then one convolution of side 1 and one of side 3 per level."""
    grid, width = _grid(config, load), config.vision_config.backbone_config.hidden_size
    out, operations = config.vision_config.fpn_hidden_size, []
    for scale in (scale for scale in config.vision_config.scale_factors if scale >= 1):
        tokens, channels = load.images * grid**2, width
        for _ in range({1.0: 0, 2.0: 1, 4.0: 2}[scale]):
            operations.append(Product(tokens, channels, 4 * (channels // 2)))
            tokens, channels = 4 * tokens, channels // 2
        operations += [Product(tokens, channels, out), Convolution(load.images, out, int(grid * scale))]
    return operations


def _text(config: Sam3Config, load: Load) -> list[Operation]:
    text: CLIPTextConfig = config.text_config
    length, layers, width = load.length or text.max_position_embeddings, text.num_hidden_layers, text.hidden_size
    tokens = load.texts * length
    return [
        *_attention(width, text.num_attention_heads, load.texts, length, length, layers),
        *_feed_forward(tokens, width, text.intermediate_size, layers),
        Product(load.texts * text.max_position_embeddings, width, config.detr_encoder_config.hidden_size),
    ]


def _reading_layers(part: DetectorTransformerConfig, rows: int, tokens: int, *read: int) -> list[Operation]:
    """Layers whose tokens read themselves, then each of some other sequences, then think."""
    width, heads, layers = part.hidden_size, part.num_attention_heads, part.num_layers
    operations = _feed_forward(rows * tokens, width, part.intermediate_size, layers)
    for keys in (tokens, *read):
        operations += _attention(width, heads, rows, tokens, keys, layers)
    return operations


def _geometry(config: Sam3Config, load: Load) -> list[Operation]:
    part, rows, boxes, grid = config.geometry_encoder_config, load.rows, load.boxes, _grid(config, load)
    width, pooled = part.hidden_size, part.roi_size
    embedding: list[Operation] = [
        Product(pooled, grid, grid * width, rows * boxes),
        Product(pooled, grid, pooled * width, rows * boxes),
        Product(rows * boxes, pooled**2 * width, width),
        Product(rows * boxes, 4, width),
        Product(rows * boxes, width + 2, width),
        Product(rows * (boxes + 1), width, width),
    ]
    return embedding + _reading_layers(part, rows, boxes + 1, grid**2)


def _encoder(config: Sam3Config, load: Load) -> list[Operation]:
    tokens = _grid(config, load) ** 2
    return _reading_layers(config.detr_encoder_config, load.rows, tokens, _prompt_length(config, load))


def _decoder(config: Sam3Config, load: Load) -> list[Operation]:
    part, rows, grid = config.detr_decoder_config, load.rows, _grid(config, load)
    width, layers = part.hidden_size, part.num_layers
    objects, edges = rows * part.num_queries, rows * part.num_queries * grid
    heads: list[Operation] = [
        Product(objects, width, width, 3 * layers),  # two layers of the box head, one of the positions
        Product(objects, width, 4, layers),
        Product(objects, 2 * width, width, layers),
        Product(edges, 2, width, 2 * layers),  # the box bias, along rows and along columns
        Product(edges, width, part.num_attention_heads, 2 * layers),
    ]
    return heads + _reading_layers(part, rows, part.num_queries + 1, _prompt_length(config, load), grid**2)


def _masks(config: Sam3Config, load: Load) -> list[Operation]:
    part, rows, grid = config.mask_decoder_config, load.rows, _grid(config, load)
    width, queries = part.hidden_size, config.detr_decoder_config.num_queries
    scales = sorted(int(scale) for scale in config.vision_config.scale_factors if scale > 1)
    pixels = (scales[-1] * grid) ** 2
    return [
        *_attention(width, part.num_attention_heads, rows, grid**2, _prompt_length(config, load), 1),
        *(Convolution(rows, width, scale * grid) for scale in scales),
        Product(rows * queries, width, width, 3),
        Product(rows * pixels, width, width + 1),
        Product(queries, width, pixels, rows),
    ]
