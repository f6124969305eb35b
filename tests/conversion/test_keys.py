from collections import Counter

import torch
from tests.support.checkpoints import (
    fingerprint,
    released_shapes,
    released_tensors,
    tiny_expected,
    tiny_tensors,
    was_dropped,
)

from sam3_hf.conversion.keys import SAM3_TABLE
from sam3_hf.conversion.rows import rename, rules_to_original, rules_to_ours


def test_released_original_names_give_exactly_the_released_converted_names_and_shapes():
    renamed = rename(released_tensors("original"), rules_to_ours(SAM3_TABLE))
    assert {name: tuple(tensor.shape) for name, tensor in renamed.items()} == released_shapes("hf")


def test_every_original_name_is_taken_by_exactly_one_rule():
    names, rules = released_tensors("original").keys(), rules_to_ours(SAM3_TABLE)
    assert Counter(name for rule in rules for name in rule.takes(names)) == dict.fromkeys(names, 1)
    dropped = {name for rule in rules if not rule.targets for name in rule.takes(names)}
    assert dropped == set(filter(was_dropped, names))
    assert len(dropped) == 32 + 6


def test_every_converted_name_is_taken_by_exactly_one_rule_on_the_way_back():
    names, rules = released_tensors("hf").keys(), rules_to_original(SAM3_TABLE)
    takers = Counter(name for rule in rules for name in rule.takes(names))
    assert takers == dict.fromkeys(names, 1)


def test_no_converted_tensor_is_written_twice():
    rules = rules_to_ours(SAM3_TABLE)
    targets = [target for rule in rules for target in rule.targets]
    assert len(targets) == len(set(targets))


def test_converted_values_equal_the_recorded_hashes():
    renamed = rename(tiny_tensors(), rules_to_ours(SAM3_TABLE))
    assert {name: fingerprint(tensor) for name, tensor in renamed.items()} == tiny_expected()


def test_original_to_ours_and_back_is_bit_exact_except_what_was_dropped():
    original = tiny_tensors()
    back = rename(rename(original, rules_to_ours(SAM3_TABLE)), rules_to_original(SAM3_TABLE))
    positions = "detector.backbone.vision_backbone.trunk.pos_embed"
    assert original.keys() - back.keys() == set(filter(was_dropped, original))
    assert back.keys() <= original.keys()
    assert torch.equal(back.pop(positions)[:, 1:], original[positions][:, 1:])
    assert [name for name, tensor in back.items() if not torch.equal(tensor, original[name])] == []
