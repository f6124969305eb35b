"""Whether a checkpoint holds what a configuration implies, and if not, the likely cause."""

from collections.abc import Collection, Mapping

from torch import Tensor

from sam3_hf.conversion.errors import ConversionError

_NAMES_SHOWN = 5
_NECK = "detector.backbone.vision_backbone.convs."
_MASK_HEAD = "detector.segmentation_head."


def check_fit(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], left_out: Collection[str] = ()) -> None:
    """Compare names and shapes; those in `left_out` are known, and not wanted.

    Raises:
        ConversionError: A tensor is missing, unknown, or of another shape; all are counted, some named.
    """
    missing = expected.keys() - tensors.keys()
    problems = {
        "missing": missing,
        "unknown": tensors.keys() - expected.keys() - set(left_out),
        "of another shape": [
            f"{name} {list(tensors[name].shape)} instead of {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in tensors and tensors[name].shape != tensor.shape
        ],
    }
    if any(problems.values()):
        lines = [f"  {len(names)} {kind}: {_listed(names)}" for kind, names in problems.items() if names]
        cause = _cause(tensors.keys(), missing, problems["unknown"])
        raise ConversionError("\n".join(["The checkpoint does not fit the configuration:", *lines, cause]))


def _listed(names: Collection[str]) -> str:
    shown, rest = sorted(names)[:_NAMES_SHOWN], len(names) - _NAMES_SHOWN
    return ", ".join(shown) + (f", and {rest} more" if rest > 0 else "")


def _cause(names: Collection[str], missing: Collection[str], unknown: Collection[str]) -> str:
    """The likely cause, judged by the names."""
    tops = {name.split(".")[0] for name in names}
    found = {
        "These are names of the converted layout already: load the file's folder with from_pretrained.": (
            tops & {"detector_model", "vision_encoder"} and any(_is_original(name) for name in missing)
        ),
        "Names of the original begin with 'detector.' and 'tracker.': pass a checkpoint of the original SAM 3.": (
            "detector" not in tops and any(_is_original(name) for name in missing)
        ),
        "The neck makes another number of levels than vision_config.scale_factors has: "
        "[4.0, 2.0, 1.0, 0.5] is SAM 3, [4.0, 2.0, 1.0] is SAM 3.1.": (
            any(name.startswith(_NECK) for name in [*missing, *unknown])
        ),
        "The checkpoint has no mask head; if that is right, load it with "
        "Sam3Model.from_original(..., allow_missing='mask_decoder').": (
            missing and all(name.startswith(_MASK_HEAD) for name in missing)
        ),
    }
    return next((cause for cause, applies in found.items() if applies), _WRONG_SIZE)


_WRONG_SIZE = "If the model is not of the released size, pass its configuration."


def _is_original(name: str) -> bool:
    return name.startswith(("detector.", "tracker."))
