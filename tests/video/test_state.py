import pytest
import torch
from tests.support.memories import frame_memory

from sam3_hf.video.state import MemoryBank, MemoryLimits

LIMITS = MemoryLimits(conditioning=2, recent=3, memories=2, pointers=4, threshold=0.01)


def test_the_score_is_mean_presence_times_mean_quality() -> None:
    memory = frame_memory(2)
    memory.presence, memory.ious = (0.0, 100.0), (0.5, 1.0)
    assert memory.score == pytest.approx(0.5 * 0.75)


def test_an_absent_object_scores_nothing() -> None:
    assert frame_memory(presence=-3.0).score == 0


def test_recent_frames_stay_whole_and_older_ones_as_far_as_they_can_be_read() -> None:
    bank = MemoryBank(1, LIMITS)
    for number in range(10):
        bank.remember(number, frame_memory())
    assert [*bank.tracked] == [6, 7, 8, 9]
    assert bank.tracked[6].features is None
    assert bank.tracked[6].masks is None
    assert all(bank.tracked[number].masks is not None for number in (7, 8, 9))


def test_doubtful_frames_do_not_push_out_good_ones() -> None:
    bank = MemoryBank(1, LIMITS)
    for number in range(4):
        bank.remember(number, frame_memory())
    for number in range(4, 20):
        bank.remember(number, frame_memory(presence=-1.0))
    assert [*bank.tracked] == [0, 1, 2, 3, 17, 18, 19]
    assert [bank.tracked[number].features is not None for number in range(4)] == [False, False, True, True]


def test_of_too_many_prompted_frames_the_first_prompted_goes() -> None:
    bank = MemoryBank(1, LIMITS)
    for number in (5, 1, 9):
        bank.remember(number, frame_memory(), conditioning=True)
    assert [*bank.conditioning] == [1, 9]


def test_without_limits_everything_stays() -> None:
    bank = MemoryBank(1, None)
    for number in range(40):
        bank.remember(number, frame_memory())
    assert all(bank.tracked[number].masks is not None for number in range(40))


def test_a_frame_is_either_prompted_or_tracked() -> None:
    bank = MemoryBank()
    bank.remember(3, frame_memory())
    bank.remember(3, frame_memory(value=1.0), conditioning=True)
    assert (list(bank.conditioning), list(bank.tracked)) == ([3], [])
    bank.downgrade(3)
    assert (list(bank.conditioning), list(bank.tracked)) == ([], [3])
    assert bank.get(3).pointers[0, 0] == 1.0
    bank.forget(3)
    assert bank.get(3) is None


def test_removed_objects_leave_every_frame_and_its_score() -> None:
    bank = MemoryBank(3)
    memory = frame_memory(3)
    memory.pointers = torch.arange(3.0)[:, None].expand(3, 8)
    memory.presence = (100.0, -100.0, -100.0)
    bank.remember(0, memory)
    bank.keep([1, 2])
    assert bank.objects == 2
    assert bank.tracked[0].pointers[:, 0].tolist() == [1, 2]
    assert bank.tracked[0].score == 0


def test_memory_of_another_number_of_objects_is_refused() -> None:
    with pytest.raises(ValueError, match=r"of 2 object\(s\); got the memory of 1"):
        MemoryBank(2).remember(0, frame_memory(1))


def test_a_bank_moves_as_a_whole() -> None:
    bank = MemoryBank()
    bank.remember(0, frame_memory(), conditioning=True)
    bank.remember(1, frame_memory())
    moved = bank.to("meta")
    assert all(part.is_meta for number in (0, 1) for part in moved.get(number).tensors().values())
    assert not bank.get(0).pointers.is_meta
