from collections import Counter

import torch
from tests.support import multiplex_golden
from tests.support.checkpoints import fingerprint, released_shapes, released_tensors, was_dropped

from sam3_hf.conversion.keys_multiplex import MULTIPLEX_TABLE
from sam3_hf.conversion.rows import rename, rules_to_original, rules_to_ours


def test_released_original_names_give_exactly_the_expected_names_and_shapes():
    renamed = rename(released_tensors("original", "sam31"), rules_to_ours(MULTIPLEX_TABLE))
    assert {name: tuple(tensor.shape) for name, tensor in renamed.items()} == released_shapes("hf", "sam31")


def test_every_name_is_taken_by_exactly_one_rule_in_both_directions():
    for layout, rules in (("original", rules_to_ours(MULTIPLEX_TABLE)), ("hf", rules_to_original(MULTIPLEX_TABLE))):
        names = released_tensors(layout, "sam31").keys()
        assert Counter(name for rule in rules for name in rule.takes(names)) == dict.fromkeys(names, 1)


def test_the_dropped_tensors_are_those_of_sam_3():
    names, rules = released_tensors("original", "sam31").keys(), rules_to_ours(MULTIPLEX_TABLE)
    dropped = {name for rule in rules if not rule.targets for name in rule.takes(names)}
    assert dropped == set(filter(was_dropped, names))
    assert len(dropped) == 32 + 6


def test_converted_values_equal_the_recorded_hashes():
    renamed = rename(multiplex_golden.tensors(), rules_to_ours(MULTIPLEX_TABLE))
    assert {name: fingerprint(tensor) for name, tensor in renamed.items()} == multiplex_golden.expected()


def test_there_and_back_is_bit_exact_except_what_was_dropped():
    original = multiplex_golden.tensors()
    back = rename(rename(original, rules_to_ours(MULTIPLEX_TABLE)), rules_to_original(MULTIPLEX_TABLE))
    positions = "detector.backbone.vision_backbone.trunk.pos_embed"
    assert original.keys() - back.keys() == set(filter(was_dropped, original))
    assert torch.equal(back.pop(positions)[:, 1:], original[positions][:, 1:])
    assert [name for name, tensor in back.items() if not torch.equal(tensor, original[name])] == []
