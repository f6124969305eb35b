"""From the original's layout to ours: checks every tensor against the configuration, then renames.

{original name: tensor} -> {our name: tensor}, views of the same memory wherever a tensor is only cut or renamed
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from sam3_hf.configuration_sam3 import Sam3Config, Sam3VisionConfig
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.keys import SAM3_TABLE
from sam3_hf.conversion.rows import Rule, rename, rules_to_original, rules_to_ours
from sam3_hf.conversion.tracker_shapes import tracker_shapes
from sam3_hf.modeling_sam3 import Sam3Model, Sam3VisionModel

_DETECTOR = "detector_model."
_NAMES_SHOWN = 5


def to_our_layout(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors that `config` asks for, under our names; a `sam3` configuration takes the detector alone.

    Raises:
        ConversionError: A tensor is missing, unknown, or of another shape than the configuration implies.
    """
    prefix = _DETECTOR if config["model_type"] == "sam3" else ""
    wanted = [rule for rule in rules_to_ours(SAM3_TABLE) if rule.leads_under(prefix)]
    unused = [rule for rule in rules_to_ours(SAM3_TABLE) if not rule.leads_under(prefix)]
    _check(tensors, expected_original(config), unused)
    return {name.removeprefix(prefix): tensor for name, tensor in rename(tensors, wanted).items()}


def to_original_layout(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back, from the names of the `sam3_video` layout; what was dropped stays away."""
    return rename(tensors, rules_to_original(SAM3_TABLE))


def expected_original(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors that an original checkpoint of this configuration holds, on the meta device."""
    try:
        if config["model_type"] == "sam3":
            return to_original_layout(_detector(config))
        return to_original_layout(_detector(config["detector_config"]) | _tracker(config["tracker_config"]))
    except (ArithmeticError, RuntimeError, ValueError) as error:
        raise ConversionError(f"No model can be built from the configuration: {error}") from error


def _detector(config: Mapping[str, Any]) -> dict[str, Tensor]:
    with torch.device("meta"):
        state = Sam3Model(Sam3Config(**config)).state_dict()
    return {_DETECTOR + name: tensor for name, tensor in state.items()}


def _tracker(config: Mapping[str, Any]) -> dict[str, Tensor]:
    with torch.device("meta"):
        state = Sam3VisionModel(Sam3VisionConfig(**config["vision_config"])).state_dict()
        tracker = {f"tracker_model.{name}": torch.empty(shape) for name, shape in tracker_shapes(dict(config)).items()}
    neck = {f"tracker_{name}": tensor for name, tensor in state.items() if name.startswith("neck.")}
    return tracker | neck


def _check(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], unused: list[Rule]) -> None:
    left_out = set().union(*(rule.takes(tensors.keys()) for rule in unused))
    problems = {
        "missing": expected.keys() - tensors.keys(),
        "unknown": tensors.keys() - expected.keys() - left_out,
        "of another shape": [
            f"{name} {list(tensors[name].shape)} instead of {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in tensors and tensors[name].shape != tensor.shape
        ],
    }
    if any(problems.values()):
        lines = [f"  {len(names)} {kind}: {_listed(names)}" for kind, names in problems.items() if names]
        raise ConversionError("\n".join(["The checkpoint does not fit the configuration:", *lines, _advice(tensors)]))


def _listed(names: Collection[str]) -> str:
    shown, rest = sorted(names)[:_NAMES_SHOWN], len(names) - _NAMES_SHOWN
    return ", ".join(shown) + (f", and {rest} more" if rest > 0 else "")


def _advice(names: Collection[str]) -> str:
    """The likely cause, judged by the names."""
    tops = {name.split(".")[0] for name in names}
    if tops & {"detector_model", "vision_encoder"}:
        return "These are names of the converted layout already: load the file's folder with from_pretrained."
    if any(name.startswith("tracker.model.") for name in names):
        return "This looks like a SAM 3.1 checkpoint; pass one of SAM 3."
    if "detector" not in tops:
        return "Names of the original begin with 'detector.' and 'tracker.': pass a checkpoint of the original SAM 3."
    return "If the model is not of the released size, pass its configuration."
