import pytest
from tests.support.memories import frame_memory
from tests.support.video_golden import recorded

from sam3_hf.configuration_sam3_tracker_video import Sam3TrackerVideoConfig
from sam3_hf.video.memory_selection import Visit, closest, good_frames, limits_of, recall
from sam3_hf.video.state import MemoryBank

SELECTING, PLAIN = Sam3TrackerVideoConfig(), Sam3TrackerVideoConfig(use_memory_selection=False)


def bank_of(conditioning: list[int], tracked: list[int]) -> MemoryBank:
    bank = MemoryBank(1, None)
    for number in conditioning:
        bank.remember(number, frame_memory(value=float(number)), conditioning=True)
    for number in tracked:
        bank.remember(number, frame_memory(value=float(number)))
    return bank


def numbers(memories: list) -> list[int]:
    return [int(memory.pointers[0, 0]) for memory in memories]


def test_prompted_frames_are_chosen_as_in_the_original() -> None:
    case = recorded()["select_closest_conditioning_frames"]
    for frame, expected in case["selected"].items():
        assert sorted(closest(case["frames"], int(frame), case["maximum"])) == sorted(expected)


def test_six_memories_and_the_prompted_frame_are_read() -> None:
    recalled = recall(bank_of([0], list(range(1, 20))), Visit(20, False, 100), PLAIN)
    assert numbers(recalled.memories) == [0, 14, 15, 16, 17, 18, 19]
    assert recalled.ages == [6, 5, 4, 3, 2, 1, 0]
    assert numbers(recalled.pointing) == [0, *range(19, 4, -1)]
    assert recalled.distances == [20, *range(1, 16)]


def test_backwards_is_the_mirror_of_forwards() -> None:
    forward = recall(bank_of([0], list(range(1, 20))), Visit(20, False, 41), SELECTING)
    backward = recall(bank_of([40], list(range(39, 20, -1))), Visit(20, True, 41), SELECTING)
    assert [40 - number for number in numbers(backward.memories)] == numbers(forward.memories)
    assert [40 - number for number in numbers(backward.pointing)] == numbers(forward.pointing)


def test_memories_of_prompted_frames_to_come_are_read_but_not_their_pointers() -> None:
    recalled = recall(bank_of([2, 8], []), Visit(5, False, 12), PLAIN)
    assert numbers(recalled.memories) == [2, 8]
    assert numbers(recalled.pointing) == [2]


def test_prompted_frames_beyond_the_four_nearest_are_read_like_others() -> None:
    recalled = recall(bank_of([0, 1, 2, 3, 4, 5], []), Visit(6, False, 12), PLAIN)
    assert sorted(zip(recalled.ages, numbers(recalled.memories), strict=True)) == [
        (4, 1), (5, 0), (6, 2), (6, 3), (6, 4), (6, 5),
    ]  # fmt: skip


def test_ages_are_ranks_among_good_frames() -> None:
    scores = {1: 0.5, 2: 0.0, 3: 0.0, 4: 0.3}
    recalled = recall(bank_of([0], [1, 2, 3, 4]), Visit(5, False, 12), SELECTING, scores)
    assert (numbers(recalled.memories), recalled.ages) == ([0, 1, 4], [6, 1, 0])
    # The oldest good frame gives no pointer.
    assert numbers(recalled.pointing) == [0, 4]


def test_the_frame_before_is_read_good_or_not() -> None:
    assert good_frames({3: 0.0, 2: 0.5}, Visit(4), 0.01, 15) == [3, 2]
    assert good_frames({2: 0.5}, Visit(4), 0.01, 15) == [3, 2]


def test_the_first_frame_of_the_video_never_counts_as_good() -> None:
    assert good_frames({0: 0.9, 1: 0.9}, Visit(2), 0.01, 15) == [1]


@pytest.mark.parametrize("visit", [Visit(0, False, 12), Visit(11, True, 12)])
def test_where_the_direction_begins_nothing_is_good(visit: Visit) -> None:
    assert good_frames({5: 0.9, 6: 0.9}, visit, 0.01, 15) == []


def test_a_threshold_has_to_be_exceeded() -> None:
    assert good_frames({2: 0.01, 3: 0.011, 4: 0.9}, Visit(5), 0.01, 15) == [4, 3]


def test_limits_follow_what_the_configuration_reads() -> None:
    limits = limits_of(Sam3TrackerVideoConfig(num_maskmem=4, max_object_pointers_in_encoder=9))
    assert (limits.memories, limits.pointers, limits.recent, limits.threshold) == (3, 8, 9, 0.01)
    assert limits_of(PLAIN).threshold == float("inf")
