"""Parameters: which of them learn, and how fast.

model -> freeze(preset) -> parameter_groups(rates): vision by depth, text, detector; with and without weight decay
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import nn

PRESETS: dict[str, tuple[str, ...]] = {
    "head": (
        "detr_decoder.box_head",
        "detr_decoder.presence_head",
        "detr_decoder.output_layer_norm",
        "detr_decoder.presence_layer_norm",
        "dot_product_scoring",
        "mask_decoder",
    ),
    "detector": ("geometry_encoder", "detr_encoder", "detr_decoder", "dot_product_scoring", "mask_decoder"),
    "all": ("",),
}
_BLOCK = re.compile(r"vision_encoder\.backbone\.layers\.(\d+)\.")
_TRUNK = "vision_encoder.backbone."
_POSITIONS = "vision_encoder.backbone.embeddings.position_embeddings"
_FIRST = (f"{_TRUNK}embeddings.", f"{_TRUNK}layer_norm.")
_TEXT = ("text_encoder.", "text_projection.")
# What PEFT puts before every name.
_WRAPPED = "base_model.model."


class LearningRates(NamedTuple):
    """Peak learning rate of each part, and the factor by which every block of the ViT learns slower than the next."""

    detector: float = 8e-5
    vision: float = 2.5e-5
    text: float = 5e-6
    layer_decay: float = 0.9


def freeze(model: nn.Module, preset: str, masks: bool = True) -> None:
    """Let only a part of a model learn.

    Args:
        model: A `Sam3Model`.
        preset: "head": scores, boxes, presence and masks of the queries; "detector": all but the vision and the text
            encoder; "all": everything.
        masks: Whether there are masks to train with. Without them the mask decoder does not learn; it would only decay.

    Raises:
        ValueError: Unknown preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"The presets are {', '.join(PRESETS)}; got {preset!r}.")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(PRESETS[preset]) and (masks or not name.startswith("mask_decoder.")))


def parameter_groups(
    model: nn.Module, rates: LearningRates | None = None, weight_decay: float = 0.1
) -> list[dict[str, Any]]:
    """Groups for a PyTorch optimizer of every parameter that learns.

    Args:
        model: A `Sam3Model`, also with adapters.
        rates: Learning rates; those of the original's fine-tuning if not given.
        weight_decay: For all but layer norms and what has "bias" in its name.

    Raises:
        ValueError: Nothing learns.
    """
    rates = rates or LearningRates()
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    undecayed = set(_undecayed(model))
    depth = _depth(model)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            place = (_rate(name.removeprefix(_WRAPPED), rates, depth), 0.0 if name in undecayed else weight_decay)
            groups.setdefault(place, []).append(parameter)
    if not groups:
        raise ValueError("No parameter of this model learns: all of them have requires_grad=False.")
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]


def _undecayed(model: nn.Module) -> Iterator[str]:
    """Names of biases and of everything in a layer norm."""
    for prefix, module in model.named_modules():
        for name, _ in module.named_parameters(prefix, recurse=False):
            if "bias" in name or isinstance(module, nn.LayerNorm):
                yield name


def _depth(model: nn.Module) -> int:
    """Blocks of the ViT."""
    found = (_BLOCK.search(name) for name, _ in model.named_parameters())
    return 1 + max((int(block[1]) for block in found if block), default=-1)


def _rate(name: str, rates: LearningRates, depth: int) -> float:
    if name.startswith(_TEXT):
        return rates.text
    if not name.startswith("vision_encoder."):
        return rates.detector
    return rates.vision * rates.layer_decay ** (depth + 1 - _layer(name, depth))


def _layer(name: str, depth: int) -> int:
    """How deep a parameter of the vision encoder is: 0 for the patches, one more than the blocks for the neck."""
    block = _BLOCK.match(name)
    # Parity: the learned positions learn as fast as the neck, though they come first.
    if name.startswith(_FIRST) and name != _POSITIONS:
        return 0
    return int(block[1]) + 1 if block else depth + 1
