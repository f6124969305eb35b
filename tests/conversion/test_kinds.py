import pytest
from tests.support.checkpoints import released_tensors

from sam3_hf.conversion.kinds import MULTIPLEX, SAM3, kind_of

VISION = "detector.backbone.vision_backbone."


@pytest.mark.parametrize(("model", "kind"), [("sam3", SAM3), ("sam31", MULTIPLEX)])
def test_released_checkpoints_are_told_apart(model, kind):
    assert kind_of(released_tensors("original", model)) is kind


@pytest.mark.parametrize(("model", "kind"), [("sam3", SAM3), ("sam31", MULTIPLEX)])
def test_so_are_their_detectors_alone(model, kind):
    necks = tuple(VISION + neck for neck in ("sam2_convs", "interactive_convs", "propagation_convs"))
    names = [n for n in released_tensors("original", model) if n.startswith("detector.") and not n.startswith(necks)]
    assert kind_of(names) is kind


def test_a_sam_3_checkpoint_that_lost_a_level_is_not_taken_for_sam_3_1():
    names = [name for name in released_tensors("original") if not name.startswith(VISION + "convs.3.")]
    assert kind_of(names) is SAM3


def test_names_of_something_else_are_not_sam_3_1():
    assert kind_of(["image_encoder.weight"]) is SAM3
