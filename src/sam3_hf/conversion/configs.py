"""The `config.json` that belongs to a checkpoint: the released model's, or the user's completed with its values."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig

from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.conversion.errors import ConversionError

# What the original's vision transformer computes with, whatever a published configuration says.
VIT_LAYER_NORM_EPS = 1e-5

# What a configuration may describe, for each part that can be written; SAM 3.1's is read for its detector.
_KINDS = {"all": ("sam3_video",), "detector": ("sam3", "sam3_video", "sam3_1_video")}

# How detections become tracks in a video; no tensor depends on it.
_VIDEO: dict[str, Any] = {
    "initializer_range": 0.02,
    "low_res_mask_size": 288,
    "score_threshold_detection": 0.5,
    "new_det_thresh": 0.7,
    "det_nms_thresh": 0.1,
    "assoc_iou_thresh": 0.1,
    "trk_assoc_iou_thresh": 0.5,
    "high_conf_thresh": 0.8,
    "high_iou_thresh": 0.8,
    "suppress_overlapping_based_on_recent_occlusion_threshold": 0.7,
    "suppress_unmatched_only_within_hotstart": True,
    "hotstart_delay": 15,
    "hotstart_dup_thresh": 8,
    "hotstart_unmatch_thresh": 8,
    "min_trk_keep_alive": -1,
    "init_trk_keep_alive": 30,
    "max_trk_keep_alive": 30,
    "decrease_trk_keep_alive_for_empty_masklets": False,
    "recondition_on_trk_masks": True,
    "recondition_every_nth_frame": 16,
    "fill_hole_area": 16,
    "max_num_objects": 10000,
}

_PROMPT_ENCODER: dict[str, Any] = {
    "model_type": "sam3_tracker_video_prompt_encoder",
    "image_size": 1008,
    "patch_size": 14,
    "hidden_size": 256,
    "mask_input_channels": 16,
    "num_point_embeddings": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "scale": 1,
}

_MASK_DECODER: dict[str, Any] = {
    "model_type": "sam3_tracker_video_mask_decoder",
    "hidden_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "attention_downsample_rate": 2,
    "mlp_dim": 2048,
    "hidden_act": "gelu",
    "num_multimask_outputs": 3,
    "iou_head_hidden_dim": 256,
    "iou_head_depth": 3,
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_thresh": 0.98,
    "dynamic_multimask_stability_delta": 0.05,
}

# The base of the rotary embedding is left out: every reader's default is the right 10000, under names that differ.
_TRACKER: dict[str, Any] = {
    "model_type": "sam3_tracker_video",
    "image_size": 1008,
    "initializer_range": 0.02,
    "prompt_encoder_config": _PROMPT_ENCODER,
    "mask_decoder_config": _MASK_DECODER,
    "multimask_output_in_sam": True,
    "multimask_output_for_tracking": True,
    "multimask_min_pt_num": 0,
    "multimask_max_pt_num": 1,
    "num_maskmem": 7,
    "max_cond_frame_num": 4,
    "max_object_pointers_in_encoder": 16,
    "enable_occlusion_spatial_embedding": True,
    "enable_temporal_pos_encoding_for_object_pointers": True,
    "memory_attention_hidden_size": 256,
    "memory_attention_num_layers": 4,
    "memory_attention_num_attention_heads": 1,
    "memory_attention_downsample_rate": 1,
    "memory_attention_feed_forward_hidden_size": 2048,
    "memory_attention_feed_forward_hidden_act": "relu",
    "memory_attention_dropout": 0.1,
    "memory_attention_rope_dropout": 0.1,
    "memory_attention_rope_feat_sizes": [72, 72],
    "memory_encoder_hidden_size": 256,
    "memory_encoder_output_channels": 64,
    "sigmoid_scale_for_mem_enc": 20.0,
    "sigmoid_bias_for_mem_enc": -10.0,
    "mask_downsampler_embed_dim": 256,
    "mask_downsampler_kernel_size": 3,
    "mask_downsampler_stride": 2,
    "mask_downsampler_padding": 1,
    "mask_downsampler_total_stride": 16,
    "mask_downsampler_hidden_act": "gelu",
    "memory_fuser_num_layers": 2,
    "memory_fuser_embed_dim": 256,
    "memory_fuser_intermediate_dim": 1024,
    "memory_fuser_kernel_size": 7,
    "memory_fuser_padding": 3,
    "memory_fuser_hidden_act": "gelu",
    "memory_fuser_layer_scale_init_value": 1e-6,
}


def read_config(
    source: str | Path | PreTrainedConfig | None, part: str, scale_factors: Sequence[float] = ()
) -> dict[str, Any]:
    """The complete configuration to write: of type `sam3_video`, or `sam3` for the detector alone.

    Args:
        source: JSON file of the layout that is written; for the detector alone, one of a whole model does too.
        part: "all", or "detector".
        scale_factors: The neck's, where `source` does not say; those of SAM 3 if not given.
    """
    given = _given(source)
    try:
        return _complete(_with_scale_factors(given, scale_factors), part)
    except (TypeError, ValueError, AttributeError, StrictDataclassError) as error:
        raise ConversionError(f"{source} does not describe a SAM 3 model: {error}") from error


def _given(source: str | Path | PreTrainedConfig | None) -> dict[str, Any]:
    if source is None:
        return {}
    return source.to_dict() if isinstance(source, PreTrainedConfig) else read_json(Path(source))


def _with_scale_factors(given: dict[str, Any], scale_factors: Sequence[float]) -> dict[str, Any]:
    if not scale_factors:
        return given
    default = {"vision_config": {"scale_factors": list(scale_factors)}}
    return _over(default if given.get("model_type") == "sam3" else {"detector_config": default}, given)


def _complete(given: dict[str, Any], part: str) -> dict[str, Any]:
    kind = given.get("model_type", "sam3_video")
    if kind not in _KINDS[part]:
        raise ValueError(f"model_type is {kind!r}. Pass a sam3_video configuration, or convert with part 'detector'.")
    detector = _detector(given if kind == "sam3" else given.get("detector_config", {}))
    if part == "detector":
        return {"architectures": ["Sam3Model"], **detector}
    defaults = {**_VIDEO, "tracker_config": {**_TRACKER, "vision_config": detector["vision_config"]}}
    whole = {**_over(defaults, given), "model_type": "sam3_video", "architectures": ["Sam3VideoModel"]}
    _set_vit_eps(whole["tracker_config"]["vision_config"])
    return {**whole, "detector_config": detector}


def read_json(path: Path) -> dict[str, Any]:
    """The configuration in a file, as it stands there."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConversionError(f"Cannot read the configuration {path}: {error.strerror}.") from error
    except ValueError as error:
        raise ConversionError(f"{path} is not JSON ({error}). Pass a file like config.json.") from error
    if not isinstance(values, dict):
        raise ConversionError(f"{path} holds no JSON object. Pass a file like config.json.")
    return values


def _detector(given: dict[str, Any]) -> dict[str, Any]:
    values = _own_fields(Sam3Config(**given).to_dict())
    _set_vit_eps(values["vision_config"])
    return values


def _own_fields(values: dict[str, Any]) -> dict[str, Any]:
    """The fields that say something about this model, without those that every configuration carries."""
    common = PreTrainedConfig().to_dict().keys() - {"model_type"}
    own = {name: value for name, value in values.items() if name not in common}
    return {name: _own_fields(value) if "model_type" in _as_dict(value) else value for name, value in own.items()}


def _set_vit_eps(vision: dict[str, Any]) -> None:
    vision["backbone_config"]["layer_norm_eps"] = VIT_LAYER_NORM_EPS


def _over(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The given values over the defaults, part by part; each must be of its default's kind."""
    merged = copy.deepcopy(defaults)
    for name, value in given.items():
        default = defaults.get(name)
        kind = (int, float) if isinstance(default, float) else type(default)
        if default is not None and not isinstance(value, kind):
            raise ValueError(f"{name} is {value!r}; a value like {default!r} is expected.")
        merged[name] = _over(default, value) if isinstance(default, dict) else value
    return merged


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
