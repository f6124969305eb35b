"""Which tensors a tracker holds, and their shapes, from its configuration.

tracker configuration -> {name without `tracker_model.`: shape}
"""

from math import log
from typing import Any

Shapes = dict[str, tuple[int, ...]]
Config = dict[str, Any]


def tracker_shapes(config: Config) -> Shapes:
    """Shape of every tensor of the tracker, its neck excepted."""
    width, memory_width = config["prompt_encoder_config"]["hidden_size"], config["memory_encoder_output_channels"]
    return {
        "no_memory_embedding": (1, 1, width),
        "no_memory_positional_encoding": (1, 1, width),
        "memory_temporal_positional_encoding": (config["num_maskmem"], 1, 1, memory_width),
        "no_object_pointer": (1, width),
        "occlusion_spatial_embedding_parameter": (1, memory_width),
        "shared_image_embedding.positional_embedding": (2, width // 2),
        **_under("prompt_encoder", _prompt_encoder(config["prompt_encoder_config"])),
        **_under("mask_decoder", _mask_decoder(config["mask_decoder_config"])),
        **_under("memory_attention", _memory_attention(config)),
        **_under("memory_encoder", _memory_encoder(config)),
        **_conv("mask_downsample", 1, 1, kernel=4),
        **_head("object_pointer_proj", width, width, width),
        **_linear("temporal_positional_encoding_projection_layer", width, memory_width),
    }


def _prompt_encoder(config: Config) -> Shapes:
    width, mask_width = config["hidden_size"], config["mask_input_channels"]
    return {
        "shared_embedding.positional_embedding": (2, width // 2),
        "point_embed.weight": (config["num_point_embeddings"], width),
        "not_a_point_embed.weight": (1, width),
        "no_mask_embed.weight": (1, width),
        **_conv("mask_embed.conv1", 1, mask_width // 4, kernel=2),
        **_norm("mask_embed.layer_norm1", mask_width // 4),
        **_conv("mask_embed.conv2", mask_width // 4, mask_width, kernel=2),
        **_norm("mask_embed.layer_norm2", mask_width),
        **_conv("mask_embed.conv3", mask_width, width, kernel=1),
    }


def _mask_decoder(config: Config) -> Shapes:
    width, masks = config["hidden_size"], config["num_multimask_outputs"] + 1
    shapes = {
        "iou_token.weight": (1, width),
        "mask_tokens.weight": (masks, width),
        "obj_score_token.weight": (1, width),
        **_under("transformer", _two_way_transformer(config)),
        **_conv("conv_s0", width, width // 8, kernel=1),
        **_conv("conv_s1", width, width // 4, kernel=1),
        **_transposed_conv("upscale_conv1", width, width // 4, kernel=2),
        **_norm("upscale_layer_norm", width // 4),
        **_transposed_conv("upscale_conv2", width // 4, width // 8, kernel=2),
        **_head("iou_prediction_head", width, config["iou_head_hidden_dim"], masks, depth=config["iou_head_depth"]),
        **_head("pred_obj_score_head", width, width, 1),
    }
    for mask in range(masks):
        shapes |= _head(f"output_hypernetworks_mlps.{mask}", width, width, width // 8)
    return shapes


def _two_way_transformer(config: Config) -> Shapes:
    width = config["hidden_size"]
    narrow = width // config["attention_downsample_rate"]
    shapes = {**_attention("final_attn_token_to_image", width, narrow), **_norm("layer_norm_final_attn", width)}
    for layer in (f"layers.{n}." for n in range(config["num_hidden_layers"])):
        shapes |= _attention(layer + "self_attn", width, width)
        shapes |= _attention(layer + "cross_attn_token_to_image", width, narrow)
        shapes |= _attention(layer + "cross_attn_image_to_token", width, narrow)
        shapes |= _linear(layer + "mlp.proj_in", width, config["mlp_dim"])
        shapes |= _linear(layer + "mlp.proj_out", config["mlp_dim"], width)
        shapes |= _norms(layer, 4, width)
    return shapes


def _memory_attention(config: Config) -> Shapes:
    width, inner = config["memory_attention_hidden_size"], config["memory_attention_feed_forward_hidden_size"]
    narrow = width // config["memory_attention_downsample_rate"]
    shapes = _norm("layer_norm", width)
    for layer in (f"layers.{n}." for n in range(config["memory_attention_num_layers"])):
        shapes |= _attention(layer + "self_attn", width, narrow)
        shapes |= _attention(layer + "cross_attn_image", width, narrow, config["memory_encoder_output_channels"])
        shapes |= _linear(layer + "linear1", width, inner)
        shapes |= _linear(layer + "linear2", inner, width)
        shapes |= _norms(layer, 3, width)
    return shapes


def _memory_encoder(config: Config) -> Shapes:
    width = config["memory_encoder_hidden_size"]
    fuser, inner = config["memory_fuser_embed_dim"], config["memory_fuser_intermediate_dim"]
    shapes = {
        **_under("mask_downsampler", _mask_downsampler(config)),
        **_conv("feature_projection", width, width, kernel=1),
        **_conv("projection", width, config["memory_encoder_output_channels"], kernel=1),
    }
    for layer in (f"memory_fuser.layers.{n}." for n in range(config["memory_fuser_num_layers"])):
        shapes |= {layer + "scale": (fuser,)}
        shapes |= _conv(layer + "depthwise_conv", 1, fuser, kernel=config["memory_fuser_kernel_size"])
        shapes |= _norm(layer + "layer_norm", fuser)
        shapes |= _linear(layer + "pointwise_conv1", fuser, inner)
        shapes |= _linear(layer + "pointwise_conv2", inner, fuser)
    return shapes


def _mask_downsampler(config: Config) -> Shapes:
    """Every convolution makes the mask `stride` times smaller and, to keep its content, `stride ** 2` times wider."""
    stride, channels, shapes = config["mask_downsampler_stride"], 1, {}
    for layer in range(round(log(config["mask_downsampler_total_stride"], stride))):
        wider = channels * stride**2
        shapes |= _conv(f"layers.{layer}.conv", channels, wider, kernel=config["mask_downsampler_kernel_size"])
        shapes |= _norm(f"layers.{layer}.layer_norm", wider)
        channels = wider
    return shapes | _conv("final_conv", channels, config["mask_downsampler_embed_dim"], kernel=1)


def _under(name: str, shapes: Shapes) -> Shapes:
    return {f"{name}.{inner}": shape for inner, shape in shapes.items()}


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _conv(name: str, inputs: int, outputs: int, kernel: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, kernel, kernel), f"{name}.bias": (outputs,)}


def _transposed_conv(name: str, inputs: int, outputs: int, kernel: int) -> Shapes:
    return {f"{name}.weight": (inputs, outputs, kernel, kernel), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _norms(layer: str, count: int, width: int) -> Shapes:
    return {name: shape for n in range(count) for name, shape in _norm(f"{layer}layer_norm{n + 1}", width).items()}


def _head(name: str, inputs: int, inner: int, outputs: int, depth: int = 3) -> Shapes:
    shapes = {**_linear(f"{name}.proj_in", inputs, inner), **_linear(f"{name}.proj_out", inner, outputs)}
    for n in range(depth - 2):
        shapes |= _linear(f"{name}.layers.{n}", inner, inner)
    return shapes


def _attention(name: str, width: int, inner: int, memory_width: int | None = None) -> Shapes:
    """Queries of `width`, keys and values of `memory_width` (the same if not given), computed in `inner` channels."""
    return {
        **_linear(f"{name}.q_proj", width, inner),
        **_linear(f"{name}.k_proj", memory_width or width, inner),
        **_linear(f"{name}.v_proj", memory_width or width, inner),
        **_linear(f"{name}.o_proj", inner, width),
    }
