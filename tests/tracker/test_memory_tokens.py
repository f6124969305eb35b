from dataclasses import replace

import pytest
import torch
from tests.support.memories import frame_memory

from sam3_hf.tracker.memory_attention import Read
from sam3_hf.tracker.memory_tokens import distance_positions, in_groups, memory_tokens
from sam3_hf.video.memory_selection import Recalled

IMAGE = torch.zeros(1, 8, 3, 3)
AGES = torch.arange(7.0)[:, None, None, None].expand(7, 1, 1, 4)


def recalled(objects: int, frames: int, pointers: int) -> Recalled:
    memories = [frame_memory(objects, value=float(number)) for number in range(max(frames, pointers))]
    return Recalled(memories[:frames], list(range(frames)), memories[:pointers], list(range(pointers)), span=15)


def test_banks_that_recall_alike_need_no_padding() -> None:
    tokens = memory_tokens([recalled(2, 3, 2), recalled(1, 3, 2)], AGES, lambda d: torch.zeros(len(d), 4), IMAGE)
    assert tokens.valid is None
    assert tokens.cells.shape == (3, 27, 4)
    assert tokens.pointers.shape == (3, 4, 4)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 2, 2), (2, 1, 1, 3)])
def test_banks_are_read_together_as_they_are_alone(sizes: tuple[int, ...]) -> None:
    def drawn(objects: int) -> Recalled:
        frames = [
            replace(frame_memory(objects), features=torch.randn(objects, 4, 3, 3), pointers=torch.randn(objects, 8))
            for _ in range(3)
        ]
        frames[0].features = frames[0].features.contiguous(memory_format=torch.channels_last)
        return Recalled(frames, [0, 1, 2], frames[:2], [0, 1], span=15)

    banks = [drawn(objects) for objects in sizes]
    together = memory_tokens(banks, AGES, lambda d: torch.zeros(len(d), 4), IMAGE)
    alone = [memory_tokens([bank], AGES, lambda d: torch.zeros(len(d), 4), IMAGE) for bank in banks]
    assert together.cells.equal(torch.cat([each.cells for each in alone]))
    assert together.pointers.equal(torch.cat([each.pointers for each in alone]))
    # Frame after frame, and in each its cells row by row.
    features = [memory.features.flatten(2).transpose(1, 2) for memory in banks[0].memories]
    assert together.cells[: sizes[0]].equal(torch.cat(features, 1))
    pointers = [memory.pointers.unflatten(1, (2, 4)) for memory in banks[0].pointing]
    assert together.pointers[: sizes[0]].equal(torch.cat(pointers, 1))


def test_what_a_bank_does_not_recall_is_padding() -> None:
    tokens = memory_tokens([recalled(1, 2, 0), recalled(1, 1, 3)], AGES, lambda d: torch.zeros(len(d), 4), IMAGE)
    assert tokens.valid.sum(1).tolist() == [18, 9 + 6]
    assert tokens.valid[0, :18].all()
    assert tokens.valid[1, 18:].all()


def test_a_memory_is_told_its_age_and_a_pointer_its_distance() -> None:
    tokens = memory_tokens([recalled(1, 2, 2)], AGES, lambda d: d[:, None].expand(-1, 4), IMAGE)
    torch.testing.assert_close(tokens.cell_positions[:, 9:] - tokens.cell_positions[:, :9], torch.ones(1, 9, 4))
    torch.testing.assert_close(tokens.pointer_positions[0, :, 0], torch.tensor([0, 0, 1 / 15, 1 / 15]))


def test_banks_share_positions_where_they_agree() -> None:
    alike = memory_tokens([recalled(2, 3, 2), recalled(1, 3, 2)], AGES, lambda d: d[:, None].expand(-1, 4), IMAGE)
    assert len(alike.cell_positions) == len(alike.pointer_positions) == 1
    # The same frames, and pointers of other distances.
    other = recalled(1, 3, 2)._replace(distances=[4, 9])
    mixed = memory_tokens([recalled(2, 3, 2), other], AGES, lambda d: d[:, None].expand(-1, 4), IMAGE)
    assert (len(mixed.cell_positions), len(mixed.pointer_positions)) == (1, 3)
    torch.testing.assert_close(mixed.pointer_positions[:, ::2, 0], torch.tensor([[0, 1], [0, 1], [4, 9]]) / 15)
    keys = Read.of(mixed).keys
    assert keys.shape == (3, 31, 4)
    torch.testing.assert_close(keys[0], Read.of(alike).keys[0])


def test_distances_are_sines_then_cosines() -> None:
    found = distance_positions(torch.tensor([0.0, 1.0]), 8)
    torch.testing.assert_close(found[0], torch.tensor([0.0] * 4 + [1.0] * 4))
    torch.testing.assert_close(found[1, 0], torch.tensor(1.0).sin())


@pytest.mark.parametrize(("most", "sizes"), [(9, [[1, 5, 2]]), (5, [[1], [5], [2]]), (3, [[1], [3], [2], [2]])])
def test_groups_have_no_more_objects_than_there_is_room_for(most: int, sizes: list[list[int]]) -> None:
    banks = [
        Recalled([frame_memory(size, float(size))], [0], [frame_memory(size, float(size))], [1], 15)
        for size in (1, 5, 2)
    ]
    groups = list(in_groups(banks, most))
    assert [[len(each.memories[0].pointers) for each in group] for group in groups] == sizes
    assert [[len(each.pointing[0].pointers) for each in group] for group in groups] == sizes
    values = [each.memories[0].pointers[:, 0] for group in groups for each in group]
    assert torch.cat(values).tolist() == [1, 5, 5, 5, 5, 5, 2, 2]
