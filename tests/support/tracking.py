"""A tracker of a few thousand weights, and clips for it, in memory."""

import numpy as np
import torch
from PIL import Image

from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig
from sam3_hf.datasets.examples import ClipExample, ClipPrompt
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.processing_sam3_tracker_video import Sam3TrackerVideoProcessor
from sam3_hf.training.initialization import initialize_tracker

SIDE, PATCH, WIDTH = 64, 8, 16


def tracker_config(**changes: object) -> Sam3TrackerVideoConfig:
    vit = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vit |= {"image_size": SIDE, "pretrain_image_size": SIDE, "patch_size": PATCH, "window_size": 4}
    values = {
        "vision_config": {"backbone_config": vit | {"global_attn_indexes": [0]}, "fpn_hidden_size": WIDTH},
        "prompt_encoder_config": {"hidden_size": WIDTH, "image_size": SIDE, "patch_size": PATCH},
        "mask_decoder_config": {
            "hidden_size": WIDTH,
            "num_attention_heads": 2,
            "mlp_dim": 32,
            "iou_head_hidden_dim": WIDTH,
        },
        "memory_encoder_output_channels": 8,
        "memory_fuser_intermediate_dim": 32,
        "memory_fuser_layer_scale_init_value": 0.1,
        "mask_downsampler_kernel_size": 4,
        "mask_downsampler_stride": 4,
        "mask_downsampler_padding": 0,
        "memory_attention_feed_forward_hidden_size": 32,
        "memory_attention_num_layers": 1,
        "memory_attention_dropout": 0.0,
        "memory_attention_rope_dropout": 0.0,
    }
    widths = ("memory_encoder_hidden_size", "memory_fuser_embed_dim", "mask_downsampler_embed_dim")
    values |= dict.fromkeys((*widths, "memory_attention_hidden_size"), WIDTH)
    return Sam3TrackerVideoConfig(**values | changes)


def small_tracker(**changes: object) -> Sam3TrackerVideoModel:
    """The same weights every time."""
    torch.manual_seed(0)
    tracker = Sam3TrackerVideoModel(tracker_config(**changes))
    # A ViT that tells colours apart, whatever it was drawn as.
    for parameter in tracker.vision_encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    initialize_tracker(tracker)
    return tracker


def tracker_processor() -> Sam3TrackerVideoProcessor:
    return Sam3TrackerVideoProcessor(Sam3ImageProcessor(size=SIDE, mask_size=4 * SIDE // PATCH))


def moving_squares(count: int, frames: int = 3, side: int = 48, hidden: bool = False) -> list[ClipExample]:
    """Clips of a red and a green square that move apart; `hidden` takes the red one away after the first frame."""
    chance = np.random.default_rng(0)
    clips = []
    for number in range(count):
        (top, left), length = chance.integers(2, 6, 2), int(chance.integers(12, 18))
        pictures, masks = [], np.zeros((frames, 2, side, side), bool)
        for time in range(frames):
            if not (hidden and time):
                masks[time, 0, top + 2 * time : top + 2 * time + length, left : left + length] = True
            masks[time, 1, 28:44, 26 + time : 42 + time] = True
            pixels = np.full((side, side, 3), 120, np.uint8)
            pixels[masks[time, 0]], pixels[masks[time, 1]] = (230, 20, 20), (20, 200, 40)
            pictures.append(Image.fromarray(pixels))
        prompt = ClipPrompt("red square", np.array([1]))
        visible = masks.any((2, 3)).astype(np.float64)
        clips.append(ClipExample(tuple(pictures), np.array([1, 2]), masks, visible, (prompt,), number))
    return clips
