"""Configurations: one per part of the model, and `Sam3Config` that joins them.

JSON written by transformers' own Sam3 configurations loads here, and JSON written here loads there.
"""

from dataclasses import field
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import CLIPTextConfig, PreTrainedConfig

from sam3_hf.configuration_sam3_loss import Sam3LossConfig
from sam3_hf.hub import ConfigFromHub

# The released text encoder: 24 layers of width 1024 over 32 tokens.
_TEXT_DEFAULTS: dict[str, Any] = {
    "max_position_embeddings": 32,
    "vocab_size": 49408,
    "num_hidden_layers": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "projection_dim": 512,
}


def as_part(config_class: type[PreTrainedConfig], given: Any, **defaults: Any) -> PreTrainedConfig:
    """The sub-configuration as `config_class`, from nothing, a dictionary, or a configuration of another package."""
    if isinstance(given, config_class):
        return given
    if given is None:
        return config_class(**defaults)
    return config_class(**(given.to_dict() if isinstance(given, PreTrainedConfig) else given))


@strict
class Sam3ViTConfig(PreTrainedConfig):
    """Vision transformer (Perception Encoder with windowed attention and 2-D rotary embedding).

    Args:
        hidden_size: Width of a token.
        intermediate_size: Width inside the feed-forward layers.
        num_hidden_layers: Number of blocks.
        num_attention_heads: Heads per block.
        num_channels: Channels of the image.
        image_size: Side of the square image in pixels that the model was trained on. The forward pass takes the size
            from the image itself.
        patch_size: Side of a square patch in pixels.
        hidden_act: Activation of the feed-forward layers.
        layer_norm_eps: Epsilon of every layer norm of the ViT. The original uses 1e-5; the published default is 1e-6.
        attention_dropout: Dropout on attention weights.
        rope_theta: Base of the rotary frequencies.
        window_size: Side of an attention window, in patches.
        global_attn_indexes: Blocks that attend over the whole grid; `[7, 15, 23, 31]` if not given.
        layer_scale_init_value: Accepted for compatibility; no SAM 3 checkpoint has a layer scale, so only `None` runs.
        pretrain_image_size: Image side in pixels whose grid of position embeddings is tiled over larger grids.
        hidden_dropout: Dropout on tokens.
        drop_path_rate: While training, the chance that the last block leaves out one of its branches for an image; from
            the first block on it rises from 0. The original is trained with 0.1.
        initializer_range: Standard deviation of the initial weights.
    """

    model_type = "sam3_vit_model"
    base_config_key = "backbone_config"

    image_size: int | list[int] | tuple[int, int] = 1008
    patch_size: int | list[int] | tuple[int, int] = 14
    num_channels: int = 3
    num_hidden_layers: int = 32
    hidden_size: int = 1024
    num_attention_heads: int = 16
    intermediate_size: int = 4736
    hidden_act: str = "gelu"
    window_size: int = 24
    global_attn_indexes: list[int] = field(default_factory=lambda: [7, 15, 23, 31])
    pretrain_image_size: int | list[int] | tuple[int, int] = 336
    rope_theta: float = 10000.0
    layer_norm_eps: float = 1e-6
    layer_scale_init_value: float | None = None
    attention_dropout: float | int = 0.0
    hidden_dropout: float | int = 0.0
    drop_path_rate: float | int = 0.0
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        # Newer transformers write the base as {"rope_parameters": {"rope_type": "axial", "rope_theta": ...}}.
        rope_parameters = kwargs.pop("rope_parameters", None) or {}
        if rope_parameters.get("rope_type", "axial") != "axial":
            raise ValueError(f"rope_type must be 'axial', got {rope_parameters['rope_type']!r}.")
        self.rope_theta = rope_parameters.get("rope_theta", self.rope_theta)
        super().__post_init__(**kwargs)


@strict
class Sam3VisionConfig(PreTrainedConfig):
    """Vision encoder: a ViT and a neck that makes feature maps at several scales.

    Args:
        backbone_config: Configuration of the ViT.
        fpn_hidden_size: Channels of every feature map.
        backbone_feature_sizes: Sizes (height, width) of the maps at the training resolution; informative.
        scale_factors: Scale of each map relative to the patch grid, fine to coarse; `[4.0, 2.0, 1.0, 0.5]` if not
            given. Maps coarser than the patch grid are computed but no later part reads them.
        hidden_act, layer_norm_eps: Kept for compatibility with published files; the neck has neither.
        initializer_range: Standard deviation of the initial weights.
    """

    model_type = "sam3_vision_model"
    base_config_key = "vision_config"
    sub_configs: ClassVar[dict[str, Any]] = {"backbone_config": Sam3ViTConfig}

    backbone_config: Any = None
    scale_factors: list[float] = field(default_factory=lambda: [4.0, 2.0, 1.0, 0.5])
    fpn_hidden_size: int = 256
    backbone_feature_sizes: list = field(default_factory=lambda: [[288, 288], [144, 144], [72, 72]])
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-6
    hidden_act: str = "gelu"

    def __post_init__(self, **kwargs: Any) -> None:
        self.backbone_config = as_part(Sam3ViTConfig, self.backbone_config)
        super().__post_init__(**kwargs)

    @property
    def image_size(self) -> int | list[int] | tuple[int, int]:
        """Side of the image in pixels, as the backbone has it."""
        return self.backbone_config.image_size

    @image_size.setter
    def image_size(self, value: int) -> None:
        self.backbone_config.image_size = value


@strict
class DetectorPartConfig(PreTrainedConfig):
    """What every part of the detector is told.

    Args:
        hidden_size: Width of a token.
        num_attention_heads: Heads per attention.
        dropout: Dropout while training, on what attention and feed-forward layers return.
        layer_norm_eps: Kept for compatibility with published files and not applied, see `sam3_hf.layers.norm`.
        initializer_range: Standard deviation of the initial weights.
    """

    hidden_size: int = 256
    num_attention_heads: int = 8
    dropout: float | int = 0.1
    layer_norm_eps: float = 1e-6
    initializer_range: float = 0.02


@strict
class DetectorTransformerConfig(DetectorPartConfig):
    """A part of the detector that is a stack of transformer layers.

    Args:
        num_layers: Transformer layers.
        intermediate_size: Width inside the feed-forward layers.
        hidden_act: Activation of the feed-forward layers.
        hidden_dropout: Kept for compatibility with published files, where it is 0; feed-forward layers use `dropout`.
        **kwargs: Arguments of `DetectorPartConfig`.
    """

    num_layers: int = 6
    intermediate_size: int = 2048
    hidden_act: str = "relu"
    hidden_dropout: float | int = 0.0


@strict
class Sam3GeometryEncoderConfig(DetectorTransformerConfig):
    """Geometry encoder: example boxes become prompt tokens.

    Args:
        num_layers: Transformer layers.
        roi_size: Side of the feature window that is pooled from each box.
        **kwargs: Arguments of `DetectorTransformerConfig`.
    """

    model_type = "sam3_geometry_encoder"

    num_layers: int = 3
    roi_size: int = 7


@strict
class Sam3DETREncoderConfig(DetectorTransformerConfig):
    """DETR encoder: image tokens read the prompt. Arguments are those of `DetectorTransformerConfig`."""

    model_type = "sam3_detr_encoder"
    attribute_map: ClassVar[dict[str, str]] = {"num_hidden_layers": "num_layers"}


@strict
class Sam3DETRDecoderConfig(DetectorTransformerConfig):
    """DETR decoder: object queries become boxes.

    Args:
        num_queries: Objects that can be found per prompt.
        **kwargs: Arguments of `DetectorTransformerConfig`.
    """

    model_type = "sam3_detr_decoder"
    attribute_map: ClassVar[dict[str, str]] = {"num_hidden_layers": "num_layers"}

    num_queries: int = 200


@strict
class Sam3MaskDecoderConfig(DetectorPartConfig):
    """Mask decoder: object queries become masks.

    Args:
        dropout: Dropout while training, on what the prompt attention returns.
        num_upsampling_stages: Stages of the pixel decoder that a checkpoint stores.
        **kwargs: Arguments of `DetectorPartConfig`.
    """

    model_type = "sam3_mask_decoder"

    dropout: float | int = 0.0
    num_upsampling_stages: int = 3


@strict
class Sam3Config(ConfigFromHub, PreTrainedConfig):
    """Configuration of `Sam3Model`; the defaults are those of the released model.

    `Sam3Config.from_pretrained` also reads the released `sam3_video` layout, whose detector it takes.

    Args:
        vision_config: ViT and neck.
        text_config: CLIP text encoder, a `CLIPTextConfig`.
        geometry_encoder_config: Example boxes to tokens.
        detr_encoder_config: Image tokens read the prompt.
        detr_decoder_config: Object queries to boxes.
        mask_decoder_config: Object queries to masks.
        loss_config: How to train; no checkpoint depends on it.
        initializer_range: Standard deviation of the initial weights.
    """

    model_type = "sam3"
    base_config_key = "detector_config"
    sub_configs: ClassVar[dict[str, Any]] = {
        "vision_config": Sam3VisionConfig,
        "text_config": CLIPTextConfig,
        "geometry_encoder_config": Sam3GeometryEncoderConfig,
        "detr_encoder_config": Sam3DETREncoderConfig,
        "detr_decoder_config": Sam3DETRDecoderConfig,
        "mask_decoder_config": Sam3MaskDecoderConfig,
        "loss_config": Sam3LossConfig,
    }
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["loss_dict", "auxiliary_outputs"]

    text_config: Any = None
    vision_config: Any = None
    geometry_encoder_config: Any = None
    detr_encoder_config: Any = None
    mask_decoder_config: Any = None
    detr_decoder_config: Any = None
    loss_config: Any = None
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        for name, config_class in self.sub_configs.items():
            defaults = _TEXT_DEFAULTS if name == "text_config" else {}
            setattr(self, name, as_part(config_class, getattr(self, name), **defaults))
        super().__post_init__(**kwargs)

    @classmethod
    def get_config_dict(cls, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The fields of a file, and the arguments that were not used, as `transformers.PreTrainedConfig` has it."""
        values, unused = super().get_config_dict(*args, **kwargs)
        detector = values.get(cls.base_config_key)
        if detector and values.get("dtype"):
            # Saving a model that was cast to another type updates the outer type alone.
            values = values | {cls.base_config_key: detector | {"dtype": values["dtype"]}}
        return values, unused

    @property
    def image_size(self) -> int | list[int] | tuple[int, int]:
        """Side of the image in pixels, as the vision encoder has it."""
        return self.vision_config.image_size

    @image_size.setter
    def image_size(self, value: int) -> None:
        self.vision_config.image_size = value
