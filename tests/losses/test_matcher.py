import sys

import pytest
import torch
from tests.support import loss_toy

from sam3_hf.configuration_sam3_loss import Sam3LossConfig
from sam3_hf.losses.matcher import Chosen, Matches, match, match_one_to_many, match_one_to_one, with_spare
from sam3_hf.losses.predictions import QuerySet
from sam3_hf.losses.targets import Targets

CONFIG = Sam3LossConfig()


def as_lists(matches: Matches) -> dict[str, list[int]]:
    return {"batch": matches.row.tolist(), "query": matches.query.tolist(), "target": matches.target.tolist()}


def test_pairs_of_every_layer_are_the_originals() -> None:
    first, second, _ = loss_toy.toy().predictions
    targets = loss_toy.targets()
    found = {
        "one_to_one": match_one_to_one(first, targets, CONFIG),
        "one_to_many": match_one_to_many(second, targets, CONFIG),
        "one_to_one_on_o2m_queries": match_one_to_one(second, targets, CONFIG),
    }
    for kind, layers in found.items():
        for layer, matches in enumerate(layers):
            assert as_lists(matches) == loss_toy.EXPECTED["matching"][f"layer{layer}_{kind}"]


@pytest.mark.parametrize("on_aux", [False, True])
def test_layers_before_the_last_match_as_configured(on_aux: bool) -> None:
    matching = match(loss_toy.toy().predictions, loss_toy.targets(), Sam3LossConfig(o2m_matcher_on_aux=on_aux))
    aux = "one_to_many" if on_aux else "one_to_one_on_o2m_queries"
    kinds = [aux, aux, "one_to_many"]
    for layer, (matches, kind) in enumerate(zip(matching.one_to_many, kinds, strict=True)):
        assert as_lists(matches) == loss_toy.EXPECTED["matching"][f"layer{layer}_{kind}"]


def set_of(boxes: list[list[float]], logits: list[float]) -> QuerySet:
    return QuerySet(torch.tensor(logits)[None, None], torch.tensor(boxes)[None, None])


def targets_of(*boxes: list[float]) -> Targets:
    return Targets.of([{"boxes": torch.tensor(boxes).view(-1, 4)}], 1, torch.device("cpu"))


def test_of_more_objects_than_queries_some_stay_alone() -> None:
    queries = set_of([[0.5, 0.5, 0.2, 0.2]], [1.0])
    (matches,) = match_one_to_one(queries, targets_of([0.1, 0.1, 0.1, 0.1], [0.5, 0.5, 0.2, 0.2]), CONFIG)
    assert as_lists(matches) == {"batch": [0], "query": [0], "target": [1]}


def test_without_objects_nothing_is_matched() -> None:
    queries = set_of([[0.5, 0.5, 0.2, 0.2]], [1.0])
    for matcher in (match_one_to_one, match_one_to_many):
        (matches,) = matcher(queries, targets_of(), CONFIG)
        assert as_lists(matches) == {"batch": [], "query": [], "target": []}


def test_fewer_queries_than_an_object_may_have_are_no_trouble() -> None:
    boxes = [[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.21]]
    (matches,) = match_one_to_many(set_of(boxes, [2.0, 1.0]), targets_of(boxes[0]), CONFIG)
    assert matches.query.tolist() == [0]  # the quantile itself, here the worst, never counts


def test_answers_that_are_not_numbers_are_named() -> None:
    queries = set_of([[0.5, 0.5, 0.2, float("nan")]], [1.0])
    with pytest.raises(ValueError, match="logits or boxes are not finite"):
        match_one_to_one(queries, targets_of([0.5, 0.5, 0.2, 0.2]), CONFIG)


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"sam3-hf\[train\]"):
        match_one_to_one(set_of([[0.5, 0.5, 0.2, 0.2]], [1.0]), targets_of([0.5, 0.5, 0.2, 0.2]), CONFIG)


def test_chosen_queries_are_those_with_a_pair() -> None:
    matches = Matches(torch.tensor([0, 0, 1, 0]), torch.tensor([4, 1, 2, 4]), torch.tensor([0, 1, 2, 1]))
    chosen = Chosen.of(matches, rows=2, queries=6)
    assert chosen.queries.shape == (2, 2)
    picked = chosen.queries[chosen.matches.row, chosen.matches.query]
    assert picked.tolist() == matches.query.tolist()
    queries = torch.randn(2, 3 + 6, 5)
    joined = with_spare(queries, 3, chosen)
    assert joined[:, :3].equal(queries[:, :3])
    assert joined[:, 3:].equal(torch.stack([queries[row, 3 + chosen.queries[row]] for row in range(2)]))
