import pytest
import torch
from tests.support.checkpoints import TINY_CONFIG, released_shapes, released_tensors, tiny_tensors, was_dropped

from sam3_hf.conversion.configs import read_config
from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.layout import expected_original, to_original_layout, to_our_layout

WHOLE = read_config(TINY_CONFIG, "all")
DETECTOR = read_config(TINY_CONFIG, "detector")
NECK = "detector.backbone.vision_backbone.sam2_convs."


def test_released_configuration_expects_exactly_the_released_original_tensors():
    expected = {name: tuple(tensor.shape) for name, tensor in expected_original(read_config(None, "all")).items()}
    assert expected == {name: shape for name, shape in released_shapes("original").items() if not was_dropped(name)}


def test_detector_alone_leaves_the_tracker_out():
    converted = to_our_layout(released_tensors("original"), read_config(None, "detector"))
    prefix = "detector_model."
    expected = {name.removeprefix(prefix): s for name, s in released_shapes("hf").items() if name.startswith(prefix)}
    assert {name: tuple(tensor.shape) for name, tensor in converted.items()} == expected


def test_detector_alone_needs_no_tracker_in_the_checkpoint():
    tensors = {n: t for n, t in tiny_tensors().items() if n.startswith("detector.") and not n.startswith(NECK)}
    assert len(to_our_layout(tensors, DETECTOR)) == 446


def test_dropped_tensors_may_be_absent():
    tensors = {name: tensor for name, tensor in tiny_tensors().items() if not was_dropped(name)}
    assert to_our_layout(tensors, WHOLE).keys() == to_our_layout(tiny_tensors(), WHOLE).keys()


def test_nothing_is_copied_that_is_only_renamed():
    tensors = tiny_tensors()
    name = "detector.geometry_encoder.final_proj.weight"
    converted = to_our_layout(tensors, WHOLE)
    assert converted["detector_model.geometry_encoder.final_proj.weight"].data_ptr() == tensors[name].data_ptr()


def test_all_problems_are_told_at_once():
    tensors = tiny_tensors()
    del tensors["tracker.sam_prompt_encoder.point_embeddings.2.weight"]
    tensors["detector.extra.weight"] = torch.ones(1)
    tensors["detector.backbone.vision_backbone.trunk.blocks.99.norm1.weight"] = torch.ones(48)
    tensors["tracker.no_mem_embed"] = torch.ones(3)
    with pytest.raises(ConversionError) as caught:
        to_our_layout(tensors, WHOLE)
    assert str(caught.value).splitlines() == [
        "The checkpoint does not fit the configuration:",
        "  1 missing: tracker.sam_prompt_encoder.point_embeddings.2.weight",
        "  2 unknown: detector.backbone.vision_backbone.trunk.blocks.99.norm1.weight, detector.extra.weight",
        "  1 of another shape: tracker.no_mem_embed [3] instead of [1, 1, 32]",
        "If the model is not of the released size, pass its configuration.",
    ]


def test_a_long_list_is_shortened_and_counted():
    with pytest.raises(ConversionError, match=r"and \d+ more") as caught:
        to_our_layout(tiny_tensors(), read_config(None, "all"))
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("detector_model.vision_encoder.x", "converted layout already"),
        ("vision_encoder.x", "converted layout already"),
        ("tracker.model.maskmem_tpos_enc", "SAM 3.1"),
        ("image_encoder.x", "begin with 'detector.'"),
    ],
)
def test_the_likely_cause_is_named(name, said):
    with pytest.raises(ConversionError, match=said):
        to_our_layout({name: torch.ones(1)}, WHOLE)


def test_a_configuration_of_no_model_is_refused():
    tracker = {**WHOLE["tracker_config"], "mask_downsampler_stride": 1}
    with pytest.raises(ConversionError, match="No model can be built"):
        to_our_layout(tiny_tensors(), {**WHOLE, "tracker_config": tracker})


def test_way_back_takes_what_the_way_forth_wrote():
    back = to_original_layout(to_our_layout(tiny_tensors(), WHOLE))
    assert back.keys() == expected_original(WHOLE).keys()
