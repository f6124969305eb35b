import torch
from tests.support.tracking import tracker_config

from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.training.initialization import initialize_tracker


def test_a_tracker_starts_anew_around_its_vit() -> None:
    tracker = Sam3TrackerVideoModel(tracker_config())
    before = {name: value.clone() for name, value in tracker.state_dict().items()}
    torch.manual_seed(1)
    initialize_tracker(tracker)
    after = tracker.state_dict()
    kept = {name for name, value in before.items() if value.equal(after[name])}
    drawn = {name for name, value in after.items() if value.ndim > 1} - kept
    assert {name for name in before if ".backbone." in name} <= kept
    # Frequencies of positions are no weights, and one vector is read by nothing.
    named = {"positional_embedding", "no_memory_positional_encoding"}
    assert all(
        ".backbone." in name or name.rpartition(".")[2] in named
        for name in after.keys() - drawn
        if after[name].ndim > 1
    )
    # Signals keep their size through a product of any width.
    for name in ("memory_attention.layers.0.linear1.weight", "mask_decoder.conv_s0.weight"):
        weight = after[name].flatten(1)
        assert abs(weight.std() - (2 / sum(weight.shape)) ** 0.5) < 0.3 * weight.std()


def test_to_begin_with_objects_seem_to_be_there() -> None:
    tracker = Sam3TrackerVideoModel(tracker_config())
    initialize_tracker(tracker)
    assert tracker.mask_decoder.pred_obj_score_head.proj_out.bias.item() == 2
