import math

import pytest
import torch

from sam3_hf.losses.formulas import dice, focal
from sam3_hf.losses.tracking import Answer, TrackingWeights, tracking_loss

LEFT = torch.zeros(1, 4, 4, dtype=torch.bool)
LEFT[..., :2] = True
NOTHING = torch.zeros_like(LEFT)


def logits_of(*masks: torch.Tensor, size: float = 20.0) -> torch.Tensor:
    """Sure of these masks of one object."""
    return torch.stack([torch.where(mask[0], size, -size) for mask in masks])[None]


def answer(*masks: torch.Tensor, ious: list[float], truth: torch.Tensor = LEFT, presence: float = 20.0) -> Answer:
    return Answer(logits_of(*masks), torch.tensor([ious]), torch.tensor([[presence]]), truth)


def test_a_right_answer_costs_nothing() -> None:
    loss = tracking_loss([answer(LEFT, ious=[1.0])])
    assert loss.total.item() == pytest.approx(0, abs=1e-5)


def test_terms_are_those_of_the_formulas() -> None:
    logits, goal = torch.randn(1, 1, 4, 4), LEFT.float().flatten(1)
    loss = tracking_loss([Answer(logits, torch.tensor([[0.3]]), torch.tensor([[0.5]]), LEFT)])
    found = logits[0] > 0
    iou = (found & LEFT).sum() / (found | LEFT).sum()
    expected = {
        "loss_mask": focal(logits.flatten(1), goal, 0.25, 2.0).mean().item(),
        "loss_dice": dice(logits.flatten(1), goal).item(),
        "loss_iou": abs(0.3 - iou.item()),
        "loss_occlusion": math.log(1 + math.exp(-0.5)),
    }
    assert {name: term.item() for name, term in loss.terms.items()} == pytest.approx(expected, rel=1e-5)
    weighted = 20 * expected["loss_mask"] + sum(expected.values()) - expected["loss_mask"]
    assert loss.total.item() == pytest.approx(weighted, rel=1e-5)


def test_of_three_masks_the_best_one_alone_is_asked_to_fit() -> None:
    masks = torch.stack([logits_of(~LEFT)[0, 0], logits_of(LEFT)[0, 0], logits_of(NOTHING)[0, 0]])[None] / 10
    masks.requires_grad_()
    ious = torch.tensor([[0.0, 1.0, 0.0]], requires_grad=True)
    loss = tracking_loss([Answer(masks, ious, torch.tensor([[20.0]]), LEFT)], TrackingWeights(iou=0))
    loss.total.backward()
    assert [bool(masks.grad[0, n].any()) for n in range(3)] == [False, True, False]


def test_the_quality_of_every_mask_is_judged() -> None:
    loss = tracking_loss([answer(LEFT, ~LEFT, NOTHING, ious=[0.5, 0.25, 0.25])])
    assert loss.terms["loss_iou"].item() == pytest.approx((0.5 + 0.25 + 0.25) / 3)


def test_an_object_out_of_sight_teaches_presence_alone() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    ious, presence = torch.rand(1, 3, requires_grad=True), torch.tensor([[1.0]], requires_grad=True)
    loss = tracking_loss([Answer(logits, ious, presence, NOTHING)])
    loss.total.backward()
    assert not logits.grad.any()
    assert not ious.grad.any()
    assert presence.grad.item() == pytest.approx(torch.sigmoid(torch.tensor(1.0)).item())


def test_answers_of_any_number_of_masks_make_one_mean() -> None:
    first, second = answer(LEFT, ~LEFT, NOTHING, ious=[0.5] * 3), answer(~LEFT, ious=[0.5])
    single = [tracking_loss([each]).total for each in (first, second)]
    torch.testing.assert_close(tracking_loss([first, second]).total, torch.stack(single).mean())


def test_masks_are_compared_at_the_size_of_what_is_there() -> None:
    small = answer(LEFT, ious=[1.0])._replace(truth=LEFT.repeat_interleave(2, 1).repeat_interleave(2, 2))
    assert tracking_loss([small]).terms["loss_iou"].item() == 0


def test_half_precision_answers_are_compared_in_full() -> None:
    said = answer(LEFT, ious=[1.0])
    half = Answer(*(part.bfloat16() for part in said[:3]), LEFT)
    assert tracking_loss([half]).total.dtype == torch.float32


def test_no_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one answer"):
        tracking_loss([])
