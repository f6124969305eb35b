from pathlib import Path

import pytest
import torch
from tests.support import video_golden as recorded

from sam3_hf.video.session import Sam3TrackerVideoInferenceSession


def clicked(**options: object) -> Sam3TrackerVideoInferenceSession:
    """Two objects, one of them corrected with a mask, one with a prompt that waits."""
    session, model = recorded.session(**options), recorded.shared_tracker()
    recorded.add(session, {"frame": 0, "obj": 1, "points": [[0.2, 0.33]], "labels": [1]})
    recorded.add(session, {"frame": 1, "obj": 7, "mask": "disc"})
    list(model.propagate_in_video_iterator(session, max_frame_num_to_track=3))
    recorded.add(session, {"frame": 2, "obj": 1, "points": [[0.5, 0.5]], "labels": [0], "clear_old": False})
    recorded.add(session, {"frame": 5, "obj": 7, "mask": "disc2"})
    return session


def rest(session: Sam3TrackerVideoInferenceSession) -> list[torch.Tensor]:
    model = recorded.shared_tracker()
    return [seen.pred_masks for seen in model.propagate_in_video_iterator(session, 3, 4)]


def test_a_session_goes_on_bit_by_bit_where_it_was(tmp_path: Path) -> None:
    session = clicked()
    session.save(tmp_path / "session")
    again = Sam3TrackerVideoInferenceSession.load(tmp_path / "session", recorded.pixel_values())
    assert again.obj_ids == [1, 7]
    for found, expected in zip(rest(again), rest(session), strict=True):
        assert torch.equal(found, expected)


def test_options_are_kept(tmp_path: Path) -> None:
    session = recorded.session(memory_dtype=torch.float32, dtype=torch.bfloat16, keep_all=True, joint=True)
    session.save(tmp_path / "session")
    again = Sam3TrackerVideoInferenceSession.load(tmp_path / "session", recorded.pixel_values())
    for name in ("memory_dtype", "dtype", "keep_all", "joint", "video_height", "video_width"):
        assert getattr(again, name) == getattr(session, name)


def test_a_stream_goes_on_with_its_next_frame(tmp_path: Path) -> None:
    model, frames = recorded.shared_tracker(), recorded.pixel_values()
    session = Sam3TrackerVideoInferenceSession(None, *recorded.SIZE)
    recorded.add(session, {"frame": 0, "obj": 1, "points": [[0.2, 0.33]], "labels": [1]})
    for frame in frames[:3]:
        model(session, frame=frame)
    session.save(tmp_path / "session")
    again = Sam3TrackerVideoInferenceSession.load(tmp_path / "session")
    found, expected = model(again, frame=frames[3]), model(session, frame=frames[3])
    assert found.frame_idx == expected.frame_idx == 3
    assert torch.equal(found.pred_masks, expected.pred_masks)


def test_a_video_has_to_be_passed_again_and_a_stream_has_none(tmp_path: Path) -> None:
    recorded.session().save(tmp_path / "video")
    with pytest.raises(ValueError, match="is the session of a video: pass its frames"):
        Sam3TrackerVideoInferenceSession.load(tmp_path / "video")
    Sam3TrackerVideoInferenceSession().save(tmp_path / "stream")
    with pytest.raises(ValueError, match="is the session of a stream"):
        Sam3TrackerVideoInferenceSession.load(tmp_path / "stream", recorded.pixel_values())


def test_another_video_is_refused(tmp_path: Path) -> None:
    recorded.session().save(tmp_path / "video")
    with pytest.raises(ValueError, match="the session of a video of 12 frames; this has 5"):
        Sam3TrackerVideoInferenceSession.load(tmp_path / "video", recorded.pixel_values()[:5])


def test_another_model_refuses_the_memory() -> None:
    session = clicked()
    memory = session.objects[1].bank.conditioning[0]
    memory.pointers = torch.zeros(1, 64)
    with pytest.raises(ValueError, match=r"was made by another model: its pointers and memories have \(64, 16\)"):
        recorded.shared_tracker()(session, frame_idx=3)
