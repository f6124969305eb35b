import pytest
import torch
from tests.support.memories import frame_memory

from sam3_hf.video.objects import FollowedObject, joint_score
from sam3_hf.video.prompts import ObjectPrompt


def test_objects_of_several_banks_are_scored_as_one() -> None:
    memories = [frame_memory(presence=100.0, iou=0.4), frame_memory(2, presence=-100.0, iou=1.0)]
    assert joint_score(memories) == pytest.approx(1 / 3 * 0.8)


def test_points_stay_as_long_as_their_frame_conditions_and_masks_until_they_are_answered() -> None:
    points, mask = ObjectPrompt(torch.zeros(1, 2), torch.ones(1).long()), ObjectPrompt.of_mask(torch.ones(1, 2, 2))
    followed = FollowedObject(prompts={0: points, 1: points, 2: mask, 3: mask}, pending={3})
    for number in (0, 2):
        followed.bank.remember(number, frame_memory(), conditioning=True)
    followed.let_go()
    assert sorted(followed.prompts) == [0, 3]
