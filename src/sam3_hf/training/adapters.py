"""Adapters: LoRA on any part of the model, through PEFT.

model -> add_lora(parts) -> trained, saved, pushed as adapters alone -> merge -> plain model
"""

import re
from collections.abc import Sequence
from typing import Any

from torch import nn

from sam3_hf.extras import needed

# The layers of each part, by what their names begin with.
PARTS: dict[str, tuple[str, ...]] = {
    "vision": ("vision_encoder.backbone",),
    "text": ("text_encoder",),
    "geometry_encoder": ("geometry_encoder",),
    "detr_encoder": ("detr_encoder",),
    "detr_decoder": ("detr_decoder",),
    "mask_decoder": ("mask_decoder",),
    "detector": ("geometry_encoder", "detr_encoder", "detr_decoder", "mask_decoder"),
}
_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "out_proj")


def add_lora(
    model: nn.Module,
    parts: Sequence[str] = ("vision", "detector"),
    rank: int = 16,
    alpha: int | None = None,
    dropout: float = 0.0,
    layers: Sequence[str] = _PROJECTIONS,
    **options: Any,
) -> Any:
    """Freeze a model and add trainable low-rank adapters.

    Args:
        model: A `Sam3Model`.
        parts: Parts that get adapters, of `PARTS`.
        rank: Rank of the adapters.
        alpha: Their scale, relative to the rank; twice the rank if not given.
        dropout: Dropout before the adapters.
        layers: Names of the linear layers in these parts; the projections of all attentions if not given, add "fc1"
            and "fc2" for the feed-forward layers.
        **options: Further arguments of `peft.LoraConfig`, such as `modules_to_save`.

    Returns:
        A `peft.PeftModel`; its `save_pretrained` and `push_to_hub` write the adapters alone.

    Raises:
        ImportError: PEFT is not installed.
        ValueError: Unknown part, or nothing in these parts has these names.
    """
    peft = needed("peft", "train")
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise ValueError(f"The parts are {', '.join(PARTS)}; got {unknown or 'none'}.")
    prefixes = "|".join(re.escape(prefix) for part in parts for prefix in PARTS[part])
    pattern = rf"({prefixes})\..*\.({'|'.join(map(re.escape, layers))})"
    if not any(re.fullmatch(pattern, name) for name, _ in model.named_modules()):
        raise ValueError(f"No layer of {', '.join(parts)} is called {' or '.join(layers)}.")
    scale = 2 * rank if alpha is None else alpha
    config = peft.LoraConfig(r=rank, lora_alpha=scale, lora_dropout=dropout, target_modules=pattern, **options)
    return peft.get_peft_model(model, config)


def merge(model: Any) -> Any:
    """The plain model with its adapters worked into the weights; the same model if it has none."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
