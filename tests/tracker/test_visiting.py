import torch
from tests.support import video_golden as recorded
from tests.support.tolerances import SAME_MASKS

from sam3_hf.video.session import Sam3TrackerVideoInferenceSession

PROMPTS = {
    4: {"points": [[0.2, 0.33]], "labels": [1]},
    1: {"mask": "disc"},
    9: {"points": [[0.72, 0.62], [0.5, 0.5]], "labels": [1, 0]},
    2: {"box": [0.5, 0.4, 0.95, 0.9]},
    7: {"points": [[0.5, 0.5]], "labels": [1]},
}


def prompted(*obj_ids: int) -> Sam3TrackerVideoInferenceSession:
    session = recorded.session()
    for obj_id in obj_ids:
        recorded.add(session, {"frame": 0, "obj": obj_id, **PROMPTS[obj_id]})
    return session


def test_prompts_of_all_kinds_on_one_frame_come_back_in_order() -> None:
    model = recorded.shared_tracker()
    seen = model(prompted(*PROMPTS), frame_idx=0)
    assert seen.object_ids == [*PROMPTS]
    for place, obj_id in enumerate(PROMPTS):
        alone = model(prompted(obj_id), frame_idx=0)
        torch.testing.assert_close(seen.pred_masks[place], alone.pred_masks[0], **SAME_MASKS)
        torch.testing.assert_close(seen.object_score_logits[place], alone.object_score_logits[0], **SAME_MASKS)


def test_a_second_visit_shows_the_same_without_running_anything() -> None:
    model, session, runs = recorded.shared_tracker(), prompted(4, 1), []
    first = model(session, frame_idx=0)
    hook = model.mask_decoder.register_forward_hook(lambda *_: runs.append(1))
    second = model(session, frame_idx=0)
    hook.remove()
    assert torch.equal(first.pred_masks, second.pred_masks)
    assert runs == []


def test_an_object_may_be_prompted_while_others_are_followed() -> None:
    model, session = recorded.shared_tracker(), prompted(4)
    model(session, frame_idx=0)
    recorded.add(session, {"frame": 1, "obj": 7, **PROMPTS[7]})
    seen, alone = model(session, frame_idx=1), prompted(4)
    model(alone, frame_idx=0)
    torch.testing.assert_close(seen.pred_masks[0], model(alone, frame_idx=1).pred_masks[0], **SAME_MASKS)
    assert list(session.objects[7].bank.conditioning) == [1]
    assert list(session.objects[4].bank.tracked) == [1]
