"""The kinds of original checkpoints, told apart by the names of their tensors.

names -> SAM 3, or SAM 3.1 whose neck makes one level less
"""

from collections.abc import Collection
from typing import NamedTuple

from sam3_hf.conversion.keys import SAM3_TABLE
from sam3_hf.conversion.keys_multiplex import MULTIPLEX_TABLE
from sam3_hf.conversion.rows import Row

_VISION = "detector.backbone.vision_backbone."


class Kind(NamedTuple):
    """A release: its rename table, the levels of its detector's neck, names that no other release has."""

    table: list[Row]
    scale_factors: list[float]
    marks: tuple[str, ...]

    def marked(self, names: Collection[str]) -> bool:
        """Whether any of the names belongs to this kind alone."""
        return any(name.startswith(self.marks) for name in names)


SAM3 = Kind(
    SAM3_TABLE,
    [4.0, 2.0, 1.0, 0.5],
    ("tracker.sam_prompt_encoder.", _VISION + "convs.3.", _VISION + "sam2_convs."),
)
MULTIPLEX = Kind(
    MULTIPLEX_TABLE,
    [4.0, 2.0, 1.0],
    ("tracker.model.", _VISION + "interactive_convs.", _VISION + "propagation_convs."),
)


def kind_of(names: Collection[str]) -> Kind:
    """The kind of a checkpoint; where only the detector is left of it, the third neck level is the last of SAM 3.1."""
    three_levels = any(name.startswith(_VISION + "convs.2.") for name in names) and not SAM3.marked(names)
    return MULTIPLEX if MULTIPLEX.marked(names) or three_levels else SAM3
