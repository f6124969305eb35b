import pytest
import torch
from tests.support.memories import frame_memory

from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.session import Plan, Sam3TrackerVideoInferenceSession
from sam3_hf.video.state import MemoryLimits

POINT = ObjectPrompt(torch.ones(1, 2), torch.ones(1, dtype=torch.long))
LIMITS = MemoryLimits(conditioning=2)


def session(**options: object) -> Sam3TrackerVideoInferenceSession:
    return Sam3TrackerVideoInferenceSession(torch.zeros(10, 3, 2, 2), **options)


def mask(*pixels: int) -> ObjectPrompt:
    values = torch.zeros(1, 1, 4)
    values[..., list(pixels)] = 1
    return ObjectPrompt.of_mask(values)


def test_every_object_has_one_part_in_the_plan_of_a_frame() -> None:
    followed = session()
    for obj_id in (4, 2, 9):
        followed.say(obj_id, 0, POINT)
    followed.answered(2, 0, frame_memory(), LIMITS)
    followed.answered(9, 0, frame_memory(), LIMITS)
    followed.say(9, 3, POINT)
    assert followed.plan(0) == Plan([4], [2, 9], [], [])
    assert followed.plan(3) == Plan([9], [], [2], [4])


def test_ids_and_places_go_both_ways_and_places_close_up() -> None:
    followed = session()
    assert [followed.obj_id_to_idx(obj_id) for obj_id in (7, 3, 7)] == [0, 1, 0]
    followed.remove_object(7)
    assert (followed.obj_ids, followed.get_obj_num(), followed.obj_idx_to_id(0)) == ([3], 1, 3)


def test_points_are_added_or_replaced() -> None:
    followed = session()
    followed.say(1, 0, POINT)
    followed.say(1, 0, POINT, clear_old=False)
    assert len(followed.objects[1].prompts[0].points) == 2
    followed.say(1, 0, POINT)
    assert len(followed.objects[1].prompts[0].points) == 1


def test_prompts_are_kept_as_long_as_they_can_be_read() -> None:
    followed = session()
    for number in range(4):
        followed.say(1, number, mask(0) if number == 3 else POINT)
    for number in range(4):
        followed.answered(1, number, frame_memory(), LIMITS)
    assert list(followed.objects[1].bank.conditioning) == [2, 3]
    assert list(followed.objects[1].prompts) == [2]


def test_a_correction_remembers_how_the_frame_was_tracked() -> None:
    followed = session()
    followed.say(1, 0, POINT)
    followed.answered(1, 0, frame_memory(), LIMITS)
    followed.followed(1, 3, frame_memory(), reverse=True)
    followed.say(1, 3, POINT)
    followed.answered(1, 3, frame_memory(), LIMITS)
    bank = followed.objects[1].bank
    assert (bank.conditioning[0].reverse, bank.conditioning[3].reverse, list(bank.tracked)) == (None, True, [])


def test_taking_back_a_prompt_makes_its_frame_an_ordinary_one() -> None:
    followed = session()
    for number in (0, 5):
        followed.say(1, number, POINT)
        followed.answered(1, number, frame_memory(), LIMITS)
    followed.remove_inputs(1, 5)
    bank = followed.objects[1].bank
    assert (list(bank.conditioning), list(bank.tracked)) == ([0], [5])
    followed.remove_inputs(1, 0)
    assert (list(bank.conditioning), list(bank.tracked)) == ([], [])
    assert followed.plan(5) == Plan([], [], [], [1])


def test_joint_masks_that_wait_give_up_what_a_later_one_claims() -> None:
    joint, independent = session(joint=True), session()
    for each in (joint, independent):
        each.say(1, 0, mask(0, 1))
        each.say(2, 0, mask(1, 2))
    assert joint.objects[1].prompts[0].mask.tolist() == [[[1, 0, 0, 0]]]
    assert independent.objects[1].prompts[0].mask.tolist() == [[[1, 1, 0, 0]]]


def test_a_joint_score_is_that_of_all_objects_together() -> None:
    followed = session(joint=True)
    for obj_id, presence, iou in ((1, 100.0, 0.5), (2, -100.0, 1.0)):
        followed.say(obj_id, 0, POINT)
        followed.answered(obj_id, 0, frame_memory(), LIMITS)
        followed.followed(obj_id, 1, frame_memory(presence=presence, iou=iou), reverse=False)
    assert followed.joint_scores() == {1: pytest.approx(0.5 * 0.75)}


@pytest.mark.parametrize(
    ("start", "most", "reverse", "expected"),
    [
        (None, None, False, range(2, 10)),
        (4, 3, False, range(4, 8)),
        (8, 5, False, range(8, 10)),
        (4, 3, True, range(4, 0, -1)),
        (4, None, True, range(4, -1, -1)),
        (0, None, True, range(0, -1, -1)),
    ],
)
def test_a_journey_covers_its_frames(start: int, most: int, reverse: bool, expected: range) -> None:
    followed = session()
    followed.say(1, 2, POINT)
    followed.say(2, 6, POINT)
    assert followed.journey(start, most, reverse) == expected


def test_prompts_elsewhere_are_answered_first_and_the_nearest_last() -> None:
    followed = session()
    for obj_id, number in enumerate([0, 4, 9]):
        followed.say(obj_id, number, POINT)
    assert followed.ahead(0) == [9, 4]


def test_an_iterator_answers_prompts_when_it_comes_to_them() -> None:
    followed = Sam3TrackerVideoInferenceSession(iter(torch.zeros(10, 3, 2, 2)))
    followed.say(1, 0, POINT)
    followed.say(2, 4, POINT)
    assert followed.ahead(0) == []
    assert followed.num_frames is None
    assert followed.journey(None, 3, False) == range(4)


@pytest.mark.parametrize("number", [-1, 10])
def test_a_prompt_on_a_frame_that_is_not_there_is_refused(number: int) -> None:
    followed = session()
    with pytest.raises(ValueError, match=f"There is no frame {number}"):
        followed.say(1, number, POINT)
    assert followed.obj_ids == []


def test_an_unknown_object_is_named() -> None:
    followed = session()
    followed.say(3, 0, POINT)
    with pytest.raises(ValueError, match=r"There is no object 5; there are \[3\]"):
        followed.remove_inputs(5, 0)
    with pytest.raises(ValueError, match="There is no object 5"):
        followed.remove_object(5, strict=True)
    followed.remove_object(5)


def test_resetting_forgets_objects_and_keeps_the_video() -> None:
    followed = session()
    followed.say(3, 0, POINT)
    followed.features(0, object)
    followed.reset_tracking_data()
    assert (followed.obj_ids, list(followed.seen), followed.num_frames) == ([], [0], 10)
    followed.reset_inference_session()
    assert not followed.seen


def test_only_a_few_features_are_kept() -> None:
    followed = session(max_vision_features_cache_size=2)
    for number in (0, 1, 0, 2):
        followed.features(number, object)
    assert list(followed.seen) == [1, 2]


def test_frames_come_in_the_sessions_type() -> None:
    assert session(dtype="bfloat16").get_frame(3).dtype == torch.bfloat16


def test_a_stream_says_that_its_frames_are_gone() -> None:
    with pytest.raises(ValueError, match="streamed frames are not kept"):
        Sam3TrackerVideoInferenceSession().get_frame(0)
    with pytest.raises(ValueError, match="has no video"):
        Sam3TrackerVideoInferenceSession().journey(0, None, False)


def test_memories_are_kept_where_they_are_wanted() -> None:
    followed = session(inference_state_device="meta")
    followed.say(1, 0, POINT)
    followed.answered(1, 0, frame_memory(), LIMITS)
    followed.followed(1, 1, frame_memory(), reverse=False)
    bank = followed.objects[1].bank
    assert all(part.is_meta for number in (0, 1) for part in bank.get(number).tensors().values())
    assert followed.to("cpu", "meta").inference_device.type == "cpu"
