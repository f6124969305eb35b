import torch
from tests.support import loss_toy

from sam3_hf.configuration_sam3_loss import Sam3LossConfig
from sam3_hf.losses.boxes import box_terms
from sam3_hf.losses.classification import class_term, presence_term
from sam3_hf.losses.matcher import Matches

MATCHES = Matches(torch.tensor([0, 0, 0, 2, 2]), torch.tensor([3, 1, 5, 9, 1]), torch.arange(5))


def layer(name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return loss_toy.toy(dtype).outputs[name][-1].detach().requires_grad_()


def test_negative_prompts_train_the_presence_and_no_class() -> None:
    logits, presence = layer("pred_logits"), layer("presence_logits")
    terms = class_term(logits, layer("pred_boxes"), loss_toy.targets(), MATCHES, Sam3LossConfig())
    terms |= presence_term(presence, loss_toy.targets(), Sam3LossConfig())
    sum(terms.values()).backward()
    assert not logits.grad[1].any()
    assert logits.grad[0].all()
    assert presence.grad[1] > 0  # down it goes
    assert presence.grad[0] < 0


def test_a_query_with_two_objects_takes_the_better_goal_in_any_order() -> None:
    logits, boxes, targets = layer("pred_logits"), layer("pred_boxes"), loss_toy.targets()
    ones = Matches(torch.tensor([0, 0]), torch.tensor([3, 3]), torch.tensor([0, 2]))
    others = Matches(*(part.flip(0) for part in ones))
    terms = [class_term(logits, boxes, targets, each, Sam3LossConfig())["loss_ce"] for each in (ones, others)]
    assert terms[0] == terms[1]


def test_the_class_term_does_not_move_boxes() -> None:
    boxes = layer("pred_boxes")
    term = class_term(layer("pred_logits"), boxes, loss_toy.targets(), MATCHES, Sam3LossConfig())
    assert torch.autograd.grad(term["loss_ce"], boxes, allow_unused=True) == (None,)


def test_gradients_are_those_of_differences() -> None:
    targets = loss_toy.targets()
    targets = targets._replace(boxes_cxcywh=targets.boxes_cxcywh.double())
    logits, boxes, presence = (layer(name, torch.double) for name in ("pred_logits", "pred_boxes", "presence_logits"))
    # The goal of a matched query passes no gradient; without a share of the score it does not depend on logits either.
    config = Sam3LossConfig(class_loss_alpha=0.0, pad_n_queries=None)

    def of_classes(logits: torch.Tensor, presence: torch.Tensor) -> tuple[torch.Tensor, ...]:
        terms = class_term(logits, boxes.detach(), targets, MATCHES, config) | presence_term(presence, targets, config)
        return tuple(terms.values())

    assert torch.autograd.gradcheck(of_classes, (logits, presence), fast_mode=True)
    objects = torch.tensor(5.0).double()
    assert torch.autograd.gradcheck(lambda b: tuple(box_terms(b, targets, MATCHES, objects).values()), boxes)
