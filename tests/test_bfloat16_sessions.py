"""Whole sessions in bfloat16: clicked, followed, saved and taken up again; values stay finite, types what they were."""

from pathlib import Path
from typing import Any

import torch

from sam3_hf.modeling_sam3_video import Sam3VideoModel
from sam3_hf.video.concept_storage import load_session
from sam3_hf.video.frames import Frames
from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.results import show
from sam3_hf.video.session import Sam3TrackerVideoInferenceSession
from sam3_hf.video.state import MemoryBank
from tests.support import concept_golden as concepts
from tests.support import video_golden as objects
from tests.support.video_golden import SIZE, pixel_values

HALF = torch.bfloat16
RULES = {"hotstart_delay": 3, "hotstart_unmatch_thresh": 3, "hotstart_dup_thresh": 3, "recondition_every_nth_frame": 2}


def assert_half(bank: MemoryBank) -> None:
    memories = [*bank.conditioning.values(), *bank.tracked.values()]
    assert memories
    for memory in memories:
        for name, part in memory.tensors().items():
            assert part.dtype == HALF, name
            assert part.isfinite().all(), name


def check(model: Sam3VideoModel, results: list[Any]) -> None:
    assert {parameter.dtype for parameter in model.parameters()} == {HALF}
    for result in results:
        assert all(mask.dtype == torch.float32 for mask in result.obj_id_to_mask.values())
        assert all(mask.isfinite().all() for mask in result.obj_id_to_mask.values())
        shown = show(result, SIZE)
        assert shown.masks.dtype == torch.bool
        assert all(0 <= score <= 1 for score in shown.scores)


def test_a_session_with_phrases_runs_from_start_to_end(tmp_path: Path) -> None:
    model = concepts.tiny_model(**RULES).to(HALF)
    session = concepts.open_session(dtype=HALF, keep_outputs=True)
    assert session.get_frame(0).dtype == HALF
    for name in ("beta", "gamma"):
        session.add_phrase(concepts.phrase(name))
    results = list(model.propagate_in_video_iterator(session, max_frame_num_to_track=4))
    assert [result.frame_idx for result in results] == [0, 1, 2, 3, 4]
    assert results[0].visible_ids
    clicked = results[-1].object_ids[0]
    session.say(clicked, 2, ObjectPrompt(torch.tensor([[60.0, 70.0]]), torch.tensor([1])))
    results.append(model(session, frame_idx=2))
    results += model.propagate_in_video_iterator(session, 2, max_frame_num_to_track=1, only_clicked=True)
    session.save(tmp_path / "session")
    again = load_session(tmp_path / "session", Frames(pixel_values(), lambda frame: (frame, SIZE)))
    assert (again.dtype, again.memory_dtype) == (HALF, HALF)
    results.append(model(again, frame_idx=5))
    assert clicked in results[-1].object_ids
    check(model, results)
    for bucket in [*session.buckets, *again.buckets]:
        assert_half(bucket.bank)


def test_a_session_of_objects_that_were_shown_runs_from_start_to_end(tmp_path: Path) -> None:
    model, session = objects.tracker().to(HALF), objects.session(dtype=HALF)
    points, mask = objects.point(0.2, 0.33), torch.zeros(1, *SIZE)
    mask[:, 20:50, 50:80] = 1
    objects.processor().add_inputs_to_inference_session(session, 0, 1, input_points=points)
    objects.processor().add_inputs_to_inference_session(session, 1, 2, input_masks=mask)
    results = list(model.propagate_in_video_iterator(session, max_frame_num_to_track=3))
    objects.processor().add_inputs_to_inference_session(session, 2, 1, input_points=objects.point(0.25, 0.35))
    results.append(model(session, frame_idx=2))
    session.save(tmp_path / "session")
    frames = Frames(pixel_values(), lambda frame: (frame, SIZE))
    again = Sam3TrackerVideoInferenceSession.load(tmp_path / "session", frames)
    results.append(model(again, frame_idx=4))
    assert [result.frame_idx for result in results] == [0, 1, 2, 3, 2, 4]
    for result in results:
        assert result.pred_masks.dtype == result.object_score_logits.dtype == HALF
        assert result.pred_masks.isfinite().all()
        assert result.pred_masks.shape == (2, 1, 48, 48)
    for followed in (session, again):
        assert followed.dtype == HALF
        for each in followed.objects.values():
            assert_half(each.bank)
