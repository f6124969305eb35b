import pytest
import torch

from sam3_hf.conversion.rows import Row, rename, rules_to_original, rules_to_ours, under
from sam3_hf.conversion.transforms import DROP, SPLIT, STACK


def test_layer_index_and_weight_or_bias_are_kept():
    tensors = {"a.7.x.weight": torch.tensor(1), "a.12.x.bias": torch.tensor(2), "a.b.x.weight": torch.tensor(3)}
    assert rename(tensors, rules_to_ours([Row("a.N.x.*", "b.N.*")])) == {"b.7.weight": 1, "b.12.bias": 2}


def test_a_dot_is_a_dot():
    assert rename({"aXb": torch.tensor(1)}, rules_to_ours([Row("a.b", "c")])) == {}


def test_braces_pair_first_with_first():
    tensors = {"l.0": torch.tensor(0), "l.1": torch.tensor(1)}
    assert rename(tensors, rules_to_ours([Row("l.{0,1}", "{first,second}")])) == {"first": 0, "second": 1}


def test_braces_of_different_length_are_refused():
    with pytest.raises(ValueError, match="zip"):
        rules_to_ours([Row("l.{0,1}", "{a,b,c}")])


def test_brackets_are_several_tensors_of_one():
    table = [Row("in_proj_*", "[q,k,v].*", SPLIT)]
    forth = rename({"in_proj_bias": torch.arange(6)}, rules_to_ours(table))
    assert {name: tensor.tolist() for name, tensor in forth.items()} == {
        "q.bias": [0, 1],
        "k.bias": [2, 3],
        "v.bias": [4, 5],
    }
    assert rename(forth, rules_to_original(table))["in_proj_bias"].tolist() == list(range(6))


def test_a_group_with_a_tensor_missing_is_left_alone():
    assert rename({"e.0": torch.ones(1, 2)}, rules_to_ours([Row("e.[0,1]", "all", STACK)])) == {}


def test_a_dropped_tensor_has_a_rule_forth_and_none_back():
    table = [Row("table", "", DROP)]
    assert rename({"table": torch.ones(1)}, rules_to_ours(table)) == {}
    assert rules_to_ours(table)[0].takes(["table", "tables"]) == {"table"}
    assert rules_to_original(table) == []


def test_under_prefixes_both_sides_but_not_an_empty_one():
    rows = under("a.", "b.", [Row("x", "y"), Row("z", "", DROP)])
    assert [(row.original, row.ours) for row in rows] == [("a.x", "b.y"), ("a.z", "")]
