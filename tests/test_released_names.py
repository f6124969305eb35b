import pytest
from transformers.conversion_mapping import get_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightRenaming

from sam3_hf.modeling_sam3_tracker import Sam3TrackerModel
from sam3_hf.released_names import GARBLED, mended, without_renaming_there

BACKBONE, NECK = "vision_encoder.backbone.layer_norm.bias", "fpn_layers.0.proj1.bias"


@pytest.mark.parametrize(
    ("garbled", "right"),
    [
        (f"tracker_model.detector_model.detector_model.{BACKBONE}", f"detector_model.{BACKBONE}"),
        (f"tracker_model.detector_model.tracker_neck.{NECK}", f"detector_model.vision_encoder.neck.{NECK}"),
        (f"tracker_model.tracker_neck.{NECK}", f"tracker_neck.{NECK}"),
        ("tracker_model.detector_model.text_projection.bias", "detector_model.text_projection.bias"),
        ("tracker_model.tracker_model.mask_decoder.conv_s0.bias", "tracker_model.mask_decoder.conv_s0.bias"),
    ],
)
def test_names_garbled_by_a_release_of_transformers_are_mended(garbled, right):
    assert mended(garbled) == right


@pytest.mark.parametrize(
    "name",
    [f"detector_model.{BACKBONE}", f"tracker_neck.{NECK}", "tracker_model.no_memory_embedding", BACKBONE, "neck.x"],
)
def test_right_names_stay(name):
    assert mended(name) == name


def test_nothing_is_renamed_but_what_the_caller_wants():
    wanted = [WeightRenaming(*pair) for pair in (GARBLED | Sam3TrackerModel._renamed | {"old.": "new."}).items()]
    renamed_there = get_checkpoint_conversion_mapping("sam3_tracker_video")
    assert len(renamed_there) == 3
    assert without_renaming_there(wanted + renamed_there) == wanted
