"""Configuration of the interactive half on videos: the image tracker's parts, and the memory of earlier frames.

JSON written by transformers' own Sam3TrackerVideo configurations loads here, and JSON written here loads there.
Releases that spell `memory_attention_rope_theta` overlook a base of the rotary frequencies other than the released one.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from sam3_hf.configuration_sam3 import Sam3VisionConfig, as_part
from sam3_hf.configuration_sam3_tracker import (
    Sam3TrackerConfig,
    Sam3TrackerMaskDecoderConfig,
    Sam3TrackerPromptEncoderConfig,
)


@strict
class Sam3TrackerVideoPromptEncoderConfig(Sam3TrackerPromptEncoderConfig):
    """Prompt encoder of a video tracker; fields as `Sam3TrackerPromptEncoderConfig`."""

    model_type = "sam3_tracker_video_prompt_encoder"


@strict
class Sam3TrackerVideoMaskDecoderConfig(Sam3TrackerMaskDecoderConfig):
    """Mask decoder of a video tracker; fields as `Sam3TrackerMaskDecoderConfig`."""

    model_type = "sam3_tracker_video_mask_decoder"


@strict
class Sam3TrackerVideoConfig(Sam3TrackerConfig):
    """Configuration of `Sam3TrackerVideoModel`; the defaults are those of the released model.

    Args:
        vision_config: ViT and the tracker's own neck.
        prompt_encoder_config: Points, boxes and masks to tokens.
        mask_decoder_config: Tokens to masks.
        initializer_range: Standard deviation of the initial weights.
        num_maskmem: Frames whose masks a frame can look at, the prompted ones counted as one.
        max_cond_frame_num: Prompted frames that a frame looks at, at most.
        max_object_pointers_in_encoder: Frames whose object pointers a frame looks at, at most.
        use_memory_selection: Whether frames without the object, or of doubtful quality, are passed over.
        memory_selection_threshold: Score that a frame must exceed to be looked at.
        sigmoid_scale_for_mem_enc: Factor on masks before they are remembered.
        sigmoid_bias_for_mem_enc: What is added after that.
        enable_occlusion_spatial_embedding: Whether memories without the object are marked.
        enable_temporal_pos_encoding_for_object_pointers: Whether pointers know how long ago they were made.
        multimask_output_in_sam: Whether ambiguous prompts give several masks, of which the best is taken.
        multimask_output_for_tracking: Whether frames without prompts do.
        multimask_min_pt_num: Points from which a prompt counts as ambiguous.
        multimask_max_pt_num: Points up to which it does.
        memory_encoder_hidden_size: Channels of the image features that a memory is made of.
        memory_encoder_output_channels: Channels of a memory.
        memory_fuser_embed_dim: Channels where image and mask are joined.
        memory_fuser_hidden_act: Activation there.
        memory_fuser_intermediate_dim: Width inside a layer there.
        memory_fuser_kernel_size: Kernel of the depthwise convolutions there.
        memory_fuser_layer_scale_init_value: Initial scale of what a layer there adds.
        memory_fuser_num_layers: Layers there.
        memory_fuser_padding: Padding of the depthwise convolutions there.
        mask_downsampler_embed_dim: Channels that a mask becomes.
        mask_downsampler_hidden_act: Activation between the convolutions that make a mask smaller.
        mask_downsampler_kernel_size: Kernel of each of them.
        mask_downsampler_padding: Padding of each.
        mask_downsampler_stride: Stride of each.
        mask_downsampler_total_stride: Stride of all together.
        memory_attention_downsample_rate: How many times narrower the attentions to memory are.
        memory_attention_dropout: Dropout on tokens there, while training.
        memory_attention_feed_forward_hidden_act: Activation of the feed-forward layers there.
        memory_attention_feed_forward_hidden_size: Width inside these.
        memory_attention_hidden_size: Width of a token there.
        memory_attention_num_attention_heads: Heads per attention there.
        memory_attention_num_layers: Layers there.
        memory_attention_rope_dropout: Dropout on attention weights while training.
        memory_attention_rope_feat_sizes: Patch grid that the model was trained on; informative.
        rope_parameters: Base of the rotary frequencies as `{"rope_type": "axial", "rope_theta": 10000.0}`.
    """

    model_type = "sam3_tracker_video"
    sub_configs: ClassVar[dict[str, Any]] = {
        "prompt_encoder_config": Sam3TrackerVideoPromptEncoderConfig,
        "mask_decoder_config": Sam3TrackerVideoMaskDecoderConfig,
        "vision_config": Sam3VisionConfig,
    }

    num_maskmem: int = 7
    max_cond_frame_num: int = 4
    max_object_pointers_in_encoder: int = 16
    use_memory_selection: bool = True
    memory_selection_threshold: float | int = 0.01
    sigmoid_scale_for_mem_enc: float | int = 20.0
    sigmoid_bias_for_mem_enc: float | int = -10.0
    enable_occlusion_spatial_embedding: bool = True
    enable_temporal_pos_encoding_for_object_pointers: bool = True
    multimask_output_in_sam: bool = True
    multimask_output_for_tracking: bool = True
    multimask_min_pt_num: int = 0
    multimask_max_pt_num: int = 1
    memory_encoder_hidden_size: int = 256
    memory_encoder_output_channels: int = 64
    memory_fuser_embed_dim: int = 256
    memory_fuser_hidden_act: str = "gelu"
    memory_fuser_intermediate_dim: int = 1024
    memory_fuser_kernel_size: int = 7
    memory_fuser_layer_scale_init_value: float | int = 1e-6
    memory_fuser_num_layers: int = 2
    memory_fuser_padding: int = 3
    mask_downsampler_embed_dim: int = 256
    mask_downsampler_hidden_act: str = "gelu"
    mask_downsampler_kernel_size: int = 3
    mask_downsampler_padding: int = 1
    mask_downsampler_stride: int = 2
    mask_downsampler_total_stride: int = 16
    memory_attention_downsample_rate: int = 1
    memory_attention_dropout: float | int = 0.1
    memory_attention_feed_forward_hidden_act: str = "relu"
    memory_attention_feed_forward_hidden_size: int = 2048
    memory_attention_hidden_size: int = 256
    memory_attention_num_attention_heads: int = 1
    memory_attention_num_layers: int = 4
    memory_attention_rope_dropout: float | int = 0.1
    memory_attention_rope_feat_sizes: list | None = None
    rope_parameters: dict | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        # Older files write the base of the rotary frequencies as a field of its own.
        theta = kwargs.pop("memory_attention_rope_theta", 10000.0)
        self.rope_parameters = {"rope_type": "axial", "rope_theta": float(theta)} | (self.rope_parameters or {})
        if self.rope_parameters["rope_type"] != "axial":
            raise ValueError(f"rope_type must be 'axial', got {self.rope_parameters['rope_type']!r}.")
        image_size = kwargs.pop("image_size", None)
        super().__post_init__(**kwargs)
        if image_size is not None:
            self.image_size = image_size
        if self.memory_attention_rope_feat_sizes is None:
            side = self.prompt_encoder_config.image_size // self.prompt_encoder_config.patch_size
            self.memory_attention_rope_feat_sizes = [side, side]

    def _validate_axial_rope_parameters(self, *args: Any, **options: Any) -> None:
        """Nothing is left to check; transformers looks for this by name, and older releases log a line without it."""

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: Any, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The file's values as those of a video tracker, and the options that are left."""
        values, options = super(Sam3TrackerConfig, cls).get_config_dict(pretrained_model_name_or_path, **kwargs)
        return video_tracker(values), options


def video_tracker(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of the values of a whole SAM 3, those of its video tracker; others stay as they are."""
    return dict(values.get("tracker_config") or values)


def as_video_tracker(config: PreTrainedConfig) -> Sam3TrackerVideoConfig:
    """The video tracker's configuration of a whole SAM 3, or the one given."""
    return as_part(Sam3TrackerVideoConfig, video_tracker(config.to_dict()))  # pyright: ignore[reportReturnType]
