"""Between the original's layout and ours: checks every tensor against the configuration, then renames.

{original name: tensor} <-> {our name: tensor}, views of the same memory wherever a tensor is only cut or renamed
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sam3_hf.configuration_sam3 import Sam3Config, Sam3VisionConfig
from sam3_hf.conversion.checking import check_fit
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.kinds import MULTIPLEX, SAM3, kind_of
from sam3_hf.conversion.rows import rename, rules_to_original, rules_to_ours
from sam3_hf.conversion.tracker_shapes import tracker_shapes
from sam3_hf.modeling_sam3 import Sam3Model, Sam3VisionModel

_DETECTOR = "detector_model."


def to_our_layout(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], allow_missing: Sequence[str] = ()
) -> dict[str, Tensor]:
    """The tensors that `config` asks for, under our names; a `sam3` configuration takes the detector alone.

    A part of the detector that `allow_missing` names may be absent, as a whole.

    Raises:
        ConversionError: A tensor is missing, unknown, or of another shape than the configuration implies.
    """
    kind, prefix = kind_of(tensors), _DETECTOR if config["model_type"] == "sam3" else ""
    if kind is MULTIPLEX and not prefix:
        raise ConversionError(
            "This is a SAM 3.1 checkpoint, and no model reads its tracker yet. Its image detector can be converted: "
            "pass --part detector (in Python: part='detector')."
        )
    wanted = [rule for rule in rules_to_ours(kind.table) if rule.leads_under(prefix)]
    unused = [rule for rule in rules_to_ours(kind.table) if not rule.leads_under(prefix)]
    left_out = set().union(*(rule.takes(tensors.keys()) for rule in unused))
    check_fit(tensors, _expected(tensors, config, allow_missing), left_out)
    return {name.removeprefix(prefix): tensor for name, tensor in rename(tensors, wanted).items()}


def to_original_layout(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back, from the names of the `sam3_video` layout; what was dropped stays away.

    A detector has the same original names in every kind of checkpoint.
    """
    return rename(tensors, rules_to_original(SAM3.table))


def with_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names of the `sam3_video` layout, from the names of a detector alone."""
    return {_DETECTOR + name: tensor for name, tensor in tensors.items()}


def expected_ours(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a model of this configuration, under the names of the `sam3_video` layout, on the meta device."""
    try:
        if config["model_type"] == "sam3":
            return _detector(config)
        return _detector(config["detector_config"]) | _tracker(config["tracker_config"])
    except (ArithmeticError, RuntimeError, ValueError) as error:
        raise ConversionError(f"No model can be built from the configuration: {error}") from error


def expected_original(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors that an original checkpoint of this configuration holds, on the meta device."""
    return to_original_layout(expected_ours(config))


def _expected(tensors: Mapping[str, Tensor], config: Mapping[str, Any], optional: Sequence[str]) -> dict[str, Tensor]:
    """What the checkpoint must hold; of an optional part all or nothing."""
    expected = expected_original(config)
    for part in optional:
        ours = {name: value for name, value in expected_ours(config).items() if name.startswith(f"{_DETECTOR}{part}.")}
        names = to_original_layout(ours).keys()
        if not names & tensors.keys():
            expected = {name: tensor for name, tensor in expected.items() if name not in names}
    return expected


def _detector(config: Mapping[str, Any]) -> dict[str, Tensor]:
    with torch.device("meta"):
        return with_prefix(Sam3Model(Sam3Config(**config)).state_dict())


def _tracker(config: Mapping[str, Any]) -> dict[str, Tensor]:
    with torch.device("meta"):
        state = Sam3VisionModel(Sam3VisionConfig(**config["vision_config"])).state_dict()
        tracker = {f"tracker_model.{name}": torch.empty(shape) for name, shape in tracker_shapes(dict(config)).items()}
    neck = {f"tracker_{name}": tensor for name, tensor in state.items() if name.startswith("neck.")}
    return tracker | neck
