from typing import Any

import pytest
import torch
from tests.support.tracking import tracker_config

from sam3_hf import Sam3ViTConfig, Sam3ViTModel
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.ops.rotary import rotary_table
from sam3_hf.tracker.memory_attention import RotaryAttention
from sam3_hf.training.initialization import initialize_tracker, look_around


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


def test_a_cell_first_recalls_its_own_place(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Sam3TrackerVideoModel(tracker_config()).eval()
    torch.manual_seed(0)
    initialize_tracker(tracker)
    asked: list[torch.Tensor] = []

    def hear(_: Any, query: torch.Tensor, key: torch.Tensor, value: Any, mask: Any, scaling: float) -> torch.Tensor:
        asked.append((query @ key.transpose(2, 3) * scaling).softmax(-1))
        return query[:, 0]

    monkeypatch.setattr(RotaryAttention, "_average", hear)
    for layer in tracker.memory_attention.layers:
        attention: Any = layer.cross_attn_image
        image, memory = (
            torch.zeros(1, 36, attention.q_proj.in_features),
            torch.zeros(1, 72, attention.k_proj.in_features),
        )
        size = attention.q_proj.out_features // attention.heads
        turns = rotary_table(6, 6, size, 10_000.0, image)
        attention(image, memory, memory, turns, 72)
    for weights in asked:
        both = weights.unflatten(-1, (2, 36)).sum(-2)
        assert both.argmax(-1).equal(torch.arange(36).expand_as(both[..., 0]))
        assert both.amax(-1).min() > 0.3


def test_heads_of_a_vit_first_look_at_their_neighbours() -> None:
    config = Sam3ViTConfig(
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=96,
        pretrain_image_size=96,
        patch_size=8,
        window_size=6,
        global_attn_indexes=[1],
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    vit = Sam3ViTModel(config)
    look_around(vit)
    windows, whole = vit.eval()(torch.zeros(1, 3, 96, 96), output_attentions=True).attentions
    # The middle of a window of 6 x 6, and of the grid of 12 x 12.
    found = [
        _steps(weights[0, :, side * (side // 2) + side // 2], side) for weights, side in ((windows, 6), (whole, 12))
    ]
    assert found == [[(1, 0), (-1, 0), (0, 1), (0, -1)], [(0, 0), (1, 1), (-1, -1), (1, -1)]]


def _steps(weights: torch.Tensor, side: int) -> list[tuple[int, int]]:
    """Where each head looks most, in patches to the right and down from the middle."""
    assert (weights.amax(1) > 0.15).all()
    return [(place % side - side // 2, place // side - side // 2) for place in weights.argmax(1).tolist()]
