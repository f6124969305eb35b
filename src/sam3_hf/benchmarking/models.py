"""Models to measure: ours, and transformers' on the same weights.

settings -> Sam3Model (from a folder, or random) and Sam3Processor -> transformers' model, sharing every tensor
"""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sam3_hf.benchmarking.settings import Settings
from sam3_hf.configuration_sam3 import Sam3Config
from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.loading import load
from sam3_hf.modeling_sam3 import Sam3Model
from sam3_hf.processing_sam3 import Sam3Processor
from sam3_hf.tokenization_sam3 import build_tokenizer

# Every entry of a vocabulary without merges: 256 bytes, the same at the end of a word, start and end.
_LETTERS = 514
_PART = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_layers": 2}
_TINY: dict[str, Any] = {
    "vision_config": {
        "fpn_hidden_size": 32,
        "backbone_config": {
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": 168,
            "pretrain_image_size": 84,
            "window_size": 6,
            "global_attn_indexes": [2],
        },
    },
    "text_config": {
        "vocab_size": _LETTERS,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "projection_dim": 16,
        "bos_token_id": _LETTERS - 2,
        "eos_token_id": _LETTERS - 1,
    },
    "geometry_encoder_config": _PART,
    "detr_encoder_config": _PART,
    "detr_decoder_config": _PART | {"num_queries": 20},
    "mask_decoder_config": {"hidden_size": 32, "num_attention_heads": 2},
}


class Subject(NamedTuple):
    """What is measured, and the side of its input in pixels."""

    model: Sam3Model
    processor: Sam3Processor
    side: int


def build(settings: Settings) -> Subject:
    """Our model and its processor.

    Raises:
        ValueError: The folder cannot be loaded, or the model takes no images of this size.
    """
    model, processor = _loaded(settings) if settings.model else _random(settings)
    backbone = model.config.vision_config.backbone_config
    side = settings.image_size or backbone.image_size
    if side % backbone.patch_size or side < backbone.patch_size:
        raise ValueError(f"The image size must be a multiple of {backbone.patch_size}; got {side}.")
    backbone.image_size = side
    grid = side // backbone.patch_size
    scales = [scale for scale in model.config.vision_config.scale_factors if scale >= 1]
    model.config.vision_config.backbone_feature_sizes = [[int(grid * scale)] * 2 for scale in scales]
    processor.image_processor.size = {"height": side, "width": side}
    if settings.attention:
        model.set_attn_implementation(settings.attention)
    return Subject(model.eval(), processor, side)


def _loaded(settings: Settings) -> tuple[Sam3Model, Sam3Processor]:
    loaded = load(settings.model or "", settings.dtype, settings.device)
    return loaded.model, loaded.processor


def _random(settings: Settings) -> tuple[Sam3Model, Sam3Processor]:
    """Texts are read letter by letter, which costs the model the same: it always reads 32 tokens."""
    torch.manual_seed(0)
    dtype = getattr(torch, settings.dtype)
    with torch.device(settings.device):
        model = Sam3Model(Sam3Config(**_TINY) if settings.tiny else Sam3Config()).to(dtype)
    with tempfile.TemporaryDirectory() as scratch:
        merges = Path(scratch) / "merges.txt"
        merges.write_text("#version: letters alone\n")
        return model, Sam3Processor(Sam3ImageProcessor(), build_tokenizer(merges))


def build_theirs(subject: Subject, attention: str | None = None) -> tuple[Any, Any]:
    """transformers' model on the tensors of ours, and its image processor."""
    import transformers

    ours = subject.model
    config = transformers.Sam3Config.from_dict(ours.config.to_dict())
    with torch.device("meta"):
        theirs = transformers.Sam3Model(config)
    theirs.load_state_dict(ours.state_dict(), strict=True, assign=True)
    fill_buffers(theirs, config, ours.device)
    theirs.set_attn_implementation(attention or "sdpa")
    images = transformers.Sam3ImageProcessor(size={"height": subject.side, "width": subject.side})
    return theirs.eval(), images


def fill_buffers(model: Any, config: Any, device: torch.device) -> None:
    """What no checkpoint holds was made without memory too: rotary tables and text positions, made of sizes."""
    for layer in model.vision_encoder.backbone.layers:
        fresh = type(layer)(config.vision_config.backbone_config, window_size=layer.window_size)
        for name, buffer in fresh.named_buffers():
            owner, _, last = name.rpartition(".")
            layer.get_submodule(owner)._buffers[last] = buffer.to(device)
    for module in model.modules():
        ids = module._buffers.get("position_ids")
        if ids is not None and ids.is_meta:
            module._buffers["position_ids"] = torch.arange(ids.shape[-1], device=device).expand(ids.shape)
