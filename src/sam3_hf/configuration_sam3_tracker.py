"""Configurations of the interactive half: vision encoder, prompt encoder, mask decoder; `Sam3TrackerConfig` joins them.

JSON written by transformers' own Sam3Tracker configurations loads here, and JSON written here loads there.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from sam3_hf.configuration_sam3 import Sam3VisionConfig, as_part
from sam3_hf.hub import ConfigFromHub


@strict
class Sam3TrackerPromptEncoderConfig(PreTrainedConfig):
    """Prompt encoder: points, boxes and masks on one object become tokens and a grid.

    Args:
        hidden_size: Width of a token.
        image_size: Side of the square image in pixels that the model was trained on. The forward pass takes the size
            from the image itself; `get_prompt_embeddings`, which sees no image, takes it from here.
        patch_size: Side of a square patch in pixels.
        mask_input_channels: Channels inside the mask embedding.
        num_point_embeddings: Kinds of points: background, foreground, first and second corner of a box.
        hidden_act: Activation of the mask embedding.
        layer_norm_eps: Epsilon of the norms of the mask embedding.
        scale: Standard deviation of the random frequencies that positions are encoded with.
    """

    model_type = "sam3_tracker_prompt_encoder"
    base_config_key = "prompt_encoder_config"

    image_size: int | list[int] | tuple[int, int] = 1008
    patch_size: int | list[int] | tuple[int, int] = 14
    hidden_size: int = 256
    num_point_embeddings: int = 4
    scale: float | int = 1
    mask_input_channels: int = 16
    layer_norm_eps: float = 1e-6
    hidden_act: str = "gelu"


@strict
class Sam3TrackerMaskDecoderConfig(PreTrainedConfig):
    """Mask decoder: prompt tokens and image read each other; mask tokens become masks.

    Args:
        hidden_size: Width of a token and channels of the image features.
        hidden_act: Activation between the steps that enlarge the image features.
        mlp_dim: Width inside the feed-forward layers.
        num_hidden_layers: Layers of the two-way transformer.
        num_attention_heads: Heads per attention.
        attention_downsample_rate: How many times narrower the attentions between tokens and image are.
        num_multimask_outputs: Masks that a prompt may mean, beside the one for unambiguous prompts.
        iou_head_depth: Layers of the head that predicts each mask's quality.
        iou_head_hidden_dim: Width inside that head.
        dynamic_multimask_via_stability: Whether an unstable single mask gives way to the best of the others.
        dynamic_multimask_stability_delta: How far the threshold is moved to test a mask's stability.
        dynamic_multimask_stability_thresh: Stability from which a single mask is kept.
    """

    model_type = "sam3_tracker_mask_decoder"
    base_config_key = "mask_decoder_config"

    num_hidden_layers: int = 2
    hidden_size: int = 256
    num_attention_heads: int = 8
    attention_downsample_rate: int = 2
    mlp_dim: int = 2048
    hidden_act: str = "gelu"
    num_multimask_outputs: int = 3
    dynamic_multimask_via_stability: bool = True
    dynamic_multimask_stability_thresh: float | int = 0.98
    dynamic_multimask_stability_delta: float | int = 0.05
    iou_head_hidden_dim: int = 256
    iou_head_depth: int = 3


@strict
class Sam3TrackerConfig(ConfigFromHub, PreTrainedConfig):
    """Configuration of `Sam3TrackerModel`; the defaults are those of the released model.

    `Sam3TrackerConfig.from_pretrained` also reads the released `sam3_video` layout, whose tracker it takes without the
    fields that only videos need.

    Args:
        vision_config: ViT and the tracker's own neck.
        prompt_encoder_config: Points, boxes and masks to tokens.
        mask_decoder_config: Tokens to masks.
        initializer_range: Standard deviation of the initial weights.
    """

    model_type = "sam3_tracker"
    sub_configs: ClassVar[dict[str, Any]] = {
        "prompt_encoder_config": Sam3TrackerPromptEncoderConfig,
        "mask_decoder_config": Sam3TrackerMaskDecoderConfig,
        "vision_config": Sam3VisionConfig,
    }

    prompt_encoder_config: Any = None
    mask_decoder_config: Any = None
    vision_config: Any = None
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        for name, config_class in self.sub_configs.items():
            setattr(self, name, as_part(config_class, getattr(self, name)))
        super().__post_init__(**kwargs)

    @property
    def image_size(self) -> int | list[int] | tuple[int, int]:
        """Side of the image in pixels, as the vision encoder has it."""
        return self.vision_config.image_size

    @image_size.setter
    def image_size(self, value: int) -> None:
        self.vision_config.image_size = value
        self.prompt_encoder_config.image_size = value

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: Any, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The file's values as those of an image tracker, and the options that are left."""
        values, options = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        return image_tracker(values), options


def image_tracker(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of the values of a whole SAM 3 or of its video tracker, those of the image tracker; others stay as they are."""
    values = values.get("tracker_config") or values
    if values.get("model_type") != "sam3_tracker_video":
        return dict(values)
    own = {name: dict(values[name]) for name in Sam3TrackerConfig.sub_configs if values.get(name) is not None}
    for name, config_class in Sam3TrackerConfig.sub_configs.items():
        own.get(name, {})["model_type"] = config_class.model_type
    kept = {"dtype": values["dtype"]} if values.get("dtype") else {}
    return {**own, **kept, "model_type": Sam3TrackerConfig.model_type}
