"""The video tracker, against recorded runs of the original, and as its users meet it."""

import copy
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import sam3_hf.tracker.video_tracker
from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from sam3_hf.video.memory_selection import Recalled, Visit, recall
from sam3_hf.video.session import Sam3TrackerVideoInferenceSession
from sam3_hf.video.state import MemoryBank
from tests.support import video_golden as recorded
from tests.support.tolerances import SAME_MASKS, TRACKER_ORIGINAL, VIDEO_FLOAT32_MEMORY, VIDEO_ORIGINAL

# Objects that were shown on the same frame: the original keeps their memories from overlapping and selects memories
# for all of them together.
JOINT = ["two_objects_same_frame_no_selection", "two_overlapping_masks", "remove_object"]
# Exists only through an accident of the original: a frame that one object was prompted on empties all others, whose
# memory and masks on every later frame follow from that. Left to compare are the replies to prompts, and each object
# on the frame it was prompted on.
ACCIDENT = "two_objects_different_frames"
NOT_COMPARED = {ACCIDENT: {1: set(range(1, 12)), 2: set(range(12)) - {4}}}
SINGLE = [name for name in recorded.cases() if name not in (*JOINT, ACCIDENT)]
FLOAT32_MEMORY = ["correction_then_repropagate", "mask_forward_no_selection"]


def compare_masks(found: Tensor, expected: Tensor, tolerance: float, share: float) -> None:
    torch.testing.assert_close(found.float(), expected.float(), atol=tolerance, rtol=0)
    assert ((found > 0) != (expected > 0)).float().mean() <= share


def compare_step(key: str, step: dict[str, Any], result: Any, skipped: dict[int, set[int]] | None = None) -> None:
    """One step of a case against what was recorded of it."""
    outputs = recorded.outputs()
    if step["op"] == "add" and f"{key}.low_res_mask" in outputs:
        place = result.object_ids.index(step["obj"])
        expected = outputs[f"{key}.low_res_mask"][0]
        after_tracking = bool(step["non_conditioning_frames_after"])
        masks = VIDEO_ORIGINAL["pred_masks"] if after_tracking else TRACKER_ORIGINAL["pred_masks"]
        scores = VIDEO_ORIGINAL["scores"] if after_tracking else TRACKER_ORIGINAL["object_score_logits"]
        torch.testing.assert_close(result.pred_masks[place], expected, atol=masks, rtol=0)
        expected = outputs[f"{key}.object_score_logits"][0]
        torch.testing.assert_close(result.object_score_logits[place], expected, atol=scores, rtol=0)
    if step["op"] != "propagate":
        return
    assert [seen.frame_idx for seen in result] == step["frames"]
    for seen, masks, scores in zip(
        result, outputs[f"{key}.low_res_masks"], outputs[f"{key}.object_score_logits"], strict=True
    ):
        places = [seen.object_ids.index(obj_id) for obj_id in step["obj_ids"]]
        for obj_id, place, mask, score in zip(step["obj_ids"], places, masks, scores, strict=True):
            if seen.frame_idx in (skipped or {}).get(obj_id, ()):
                continue
            compare_masks(seen.pred_masks[place], mask, VIDEO_ORIGINAL["pred_masks"], VIDEO_ORIGINAL["pixels"])
            found = seen.object_score_logits[place]
            torch.testing.assert_close(found, score, atol=VIDEO_ORIGINAL["scores"], rtol=0)


class Watched:
    """Which memories and pointers were looked at, by every object on every frame."""

    def __init__(self) -> None:
        self.looked: list[dict[str, Any]] = []

    def __call__(self, bank: MemoryBank, visit: Visit, *rest: Any) -> Recalled:
        recalled = recall(bank, visit, *rest)
        names = {id(memory): ["cond", number] for number, memory in bank.conditioning.items()}
        names |= {id(memory): ["non_cond", number] for number, memory in bank.tracked.items()}
        self.looked.append(
            {
                "frame": visit.frame_index,
                "reverse": visit.reverse,
                "spatial_memories": [names[id(memory)] for memory in recalled.memories],
                "temporal_encoding_rows": recalled.ages,
                "pointers": [names[id(memory)] for memory in recalled.pointing],
                "pointer_temporal_positions": recalled.distances,
            }
        )
        return recalled

    def compare(self, step: dict[str, Any]) -> None:
        """What was looked at in one step, against what the original looked at for all objects together."""
        objects = len(step["obj_ids"]) if step["op"] == "propagate" else 1
        expected = [entry for entry in step["memory_attention"] if entry["uses_memory"] for _ in range(objects)]
        assert len(self.looked) == len(expected)
        for found, entry in zip(self.looked, expected, strict=True):
            assert found == {key: entry.get(key, []) for key in found}
        self.looked.clear()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    watching = Watched()
    monkeypatch.setattr(sam3_hf.tracker.video_tracker, "recall", watching)
    return watching


class TestRecordedRuns:
    @pytest.mark.parametrize("name", SINGLE)
    def test_one_object_is_followed_as_in_the_original(self, name: str, watched: Watched) -> None:
        model = recorded.shared_tracker(recorded.cases()[name]["memory_selection"])
        for key, step, result in recorded.replay(model, recorded.session(), name):
            compare_step(key, step, result)
            watched.compare(step)

    @pytest.mark.parametrize("name", JOINT)
    def test_joint_objects_are_followed_as_in_the_original(self, name: str, watched: Watched) -> None:
        model = recorded.shared_tracker(recorded.cases()[name]["memory_selection"])
        for key, step, result in recorded.replay(model, recorded.session(joint=True), name):
            compare_step(key, step, result)
            watched.compare(step)

    def test_what_exists_through_an_accident_is_not_met_and_the_rest_is(self) -> None:
        session = recorded.session()
        for key, step, result in recorded.replay(recorded.shared_tracker(), session, ACCIDENT):
            compare_step(key, step, result, NOT_COMPARED[ACCIDENT])
        masks = recorded.outputs()[f"{ACCIDENT}.2.low_res_masks"]
        assert (masks[4, 0] < -10).all()
        assert (result[4].pred_masks[0] > 0).any()

    @pytest.mark.parametrize("name", FLOAT32_MEMORY)
    def test_with_exact_memories_every_frame_is_the_originals(self, name: str) -> None:
        model = recorded.shared_tracker(recorded.cases()[name]["memory_selection"])
        session = recorded.session(memory_dtype=torch.float32)
        for key, _, result in recorded.replay(model, session, name):
            expected = recorded.outputs().get(f"{key}.low_res_masks_float32_memory")
            if expected is not None:
                found = torch.stack([seen.pred_masks for seen in result])
                torch.testing.assert_close(found, expected, atol=VIDEO_FLOAT32_MEMORY, rtol=0)

    def test_memories_are_the_originals(self) -> None:
        session = recorded.session(keep_all=True)
        for _ in recorded.replay(recorded.shared_tracker(), session, "click_forward"):
            pass
        bank = session.objects[1].bank
        for number in (0, 11):
            expected = recorded.outputs()[f"click_forward.1.memory_features.frame{number}"]
            found = bank.get(number).features.float()
            # One step of bfloat16, in which memories are kept.
            torch.testing.assert_close(found, expected, atol=2e-2, rtol=2**-7)


def follow(
    session: Sam3TrackerVideoInferenceSession, model: Sam3TrackerVideoModel | None = None, **options: Any
) -> dict[int, dict[int, Tensor]]:
    """Masks by frame and object."""
    seen = (model or recorded.shared_tracker()).propagate_in_video_iterator(session, **options)
    return {each.frame_idx: dict(zip(each.object_ids, each.pred_masks, strict=True)) for each in seen}


def click(
    session: Sam3TrackerVideoInferenceSession, obj_id: int, frame: int, x: float, y: float, **options: Any
) -> None:
    recorded.processor().add_inputs_to_inference_session(
        session, frame, obj_id, input_points=recorded.point(x, y), input_labels=[[[1]]], **options
    )


def exact_session() -> Sam3TrackerVideoInferenceSession:
    """Without rounding of memories, which another batch size would tip over here and there."""
    return recorded.session(memory_dtype=torch.float32)


class TestObjectsAreIndependent:
    def test_an_object_clicked_later_changes_nothing_for_one_clicked_earlier(self) -> None:
        alone, together = exact_session(), exact_session()
        click(alone, 1, 0, 0.2, 0.33)
        click(together, 1, 0, 0.2, 0.33)
        click(together, 2, 4, 0.72, 0.62)
        expected, found = follow(alone), follow(together)
        for frame in range(12):
            torch.testing.assert_close(found[frame][1], expected[frame][1], **SAME_MASKS)

    def test_many_objects_with_different_memories_equal_each_alone(self) -> None:
        places = {3: (0, 0.2, 0.33), 8: (0, 0.72, 0.62), 5: (3, 0.5, 0.5)}
        together = exact_session()
        for obj_id, (frame, x, y) in places.items():
            click(together, obj_id, frame, x, y)
        found = follow(together, max_frame_num_to_track=6)
        for obj_id, (frame, x, y) in places.items():
            alone = exact_session()
            click(alone, obj_id, frame, x, y)
            expected = follow(alone, start_frame_idx=0, max_frame_num_to_track=6)
            for number in range(7):
                torch.testing.assert_close(found[number][obj_id], expected[number][obj_id], **SAME_MASKS)

    def test_all_objects_go_through_the_networks_as_one_batch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model, session = recorded.shared_tracker(), recorded.session()
        for obj_id, (frame, x, y) in enumerate([(0, 0.2, 0.33), (0, 0.72, 0.62), (1, 0.5, 0.5)]):
            click(session, obj_id, frame, x, y)
        follow(session, max_frame_num_to_track=2)
        batches: dict[str, list[int]] = {}
        hooks = [
            getattr(model, part).register_forward_hook(
                lambda module, inputs, output, part=part: batches.setdefault(part, []).append(
                    len(output.logits if part == "mask_decoder" else output)
                )
            )
            for part in ("memory_attention", "mask_decoder", "memory_encoder")
        ]
        model(session, frame_idx=3)
        for hook in hooks:
            hook.remove()
        assert batches == {"memory_attention": [3], "mask_decoder": [3], "memory_encoder": [3]}


@cache
def forgetful() -> Sam3TrackerVideoModel:
    """Looks at so few frames that a short video is long."""
    return recorded.tracker(num_maskmem=3, max_object_pointers_in_encoder=4)


class TestAtAnyTime:
    def test_an_object_added_after_propagation_is_followed_from_then_on(self) -> None:
        session = exact_session()
        click(session, 1, 0, 0.2, 0.33)
        before = follow(session)
        click(session, 2, 5, 0.72, 0.62)
        after = follow(session, start_frame_idx=5)
        assert set(after) == set(range(5, 12))
        assert set(after[11]) == {1, 2}
        alone = exact_session()
        click(alone, 2, 5, 0.72, 0.62)
        expected = follow(alone)
        torch.testing.assert_close(after[5][1], before[5][1], **SAME_MASKS)
        torch.testing.assert_close(after[11][2], expected[11][2], **SAME_MASKS)

    def test_an_object_without_prompt_before_its_frame_is_absent_in_a_stream(self) -> None:
        model, frames = recorded.shared_tracker(), recorded.pixel_values()
        session = Sam3TrackerVideoInferenceSession()
        click(session, 1, 0, 0.2, 0.33, original_size=recorded.SIZE)
        model(session, frame=frames[0])
        click(session, 2, 2, 0.72, 0.62)
        waiting = model(session, frame=frames[1])
        assert (waiting.pred_masks[1] == -1024).all()
        assert waiting.object_score_logits[1] < 0
        assert (model(session, frame=frames[2]).pred_masks[1] > 0).any()

    def test_a_removed_object_is_gone_and_its_number_free(self) -> None:
        session = recorded.session()
        click(session, 1, 0, 0.2, 0.33)
        click(session, 2, 0, 0.72, 0.62)
        follow(session, max_frame_num_to_track=3)
        session.remove_object(1)
        assert set(follow(session, start_frame_idx=4)[5]) == {2}
        click(session, 1, 6, 0.5, 0.5)
        assert list(follow(session, start_frame_idx=6)[6]) == [2, 1]

    def test_a_correction_is_still_there_after_propagating_again(self) -> None:
        session = recorded.session()
        click(session, 1, 0, 0.2, 0.33)
        tracked = follow(session)
        click(session, 1, 6, 0.72, 0.62)
        corrected = recorded.shared_tracker()(session, frame_idx=6).pred_masks[0]
        assert ((corrected > 0) != (tracked[6][1] > 0)).any()
        for start in (0, 3):
            assert torch.equal(follow(session, start_frame_idx=start)[6][1], corrected)

    def test_taking_back_the_only_prompt_leaves_the_object_to_be_shown_again(self) -> None:
        session = recorded.session()
        click(session, 1, 0, 0.2, 0.33)
        first = follow(session)
        session.remove_inputs(1, 0)
        assert (recorded.shared_tracker()(session, frame_idx=3).pred_masks == -1024).all()
        click(session, 1, 0, 0.2, 0.33)
        again = follow(session)
        assert all(torch.equal(again[frame][1], first[frame][1]) for frame in range(12))

    def test_a_frame_that_is_not_remembered_changes_nothing(self) -> None:
        session = recorded.session()
        click(session, 1, 0, 0.2, 0.33)
        follow(session, max_frame_num_to_track=2)
        model, known = recorded.shared_tracker(), copy.deepcopy(session.objects)
        found = model(session, frame_idx=3, run_mem_encoder=False)
        assert [*session.objects[1].bank.tracked] == [*known[1].bank.tracked]
        assert torch.equal(found.pred_masks, model(session, frame_idx=3).pred_masks)


class TestDirections:
    def test_both_directions_reach_every_frame_once(self) -> None:
        session = recorded.session()
        click(session, 1, 7, 0.5, 0.5)
        seen = [each.frame_idx for each in recorded.shared_tracker().track(session, direction="both")]
        assert seen == [7, 8, 9, 10, 11, 6, 5, 4, 3, 2, 1, 0]

    def test_backward_equals_the_reverse_iterator(self) -> None:
        model, first, second = recorded.shared_tracker(), recorded.session(), recorded.session()
        click(first, 1, 7, 0.5, 0.5)
        click(second, 1, 7, 0.5, 0.5)
        expected = follow(second, reverse=True)
        for each in model.track(first, direction="backward"):
            assert torch.equal(each.pred_masks[0], expected[each.frame_idx][1])

    def test_backward_from_the_first_frame_shows_that_frame(self) -> None:
        session = recorded.session()
        click(session, 1, 0, 0.2, 0.33)
        assert list(follow(session, reverse=True)) == [0]

    def test_an_unknown_direction_is_refused(self) -> None:
        with pytest.raises(ValueError, match='"forward", "backward" or "both"; got \'up\''):
            next(recorded.shared_tracker().track(recorded.session(), direction="up"))

    def test_without_any_prompt_there_is_nowhere_to_start(self) -> None:
        with pytest.raises(ValueError, match="No object was shown"):
            next(recorded.shared_tracker().propagate_in_video_iterator(recorded.session()))


class TestStreaming:
    def test_frames_that_come_one_by_one_give_what_the_video_gives(self) -> None:
        # A video that is shorter than what is looked at makes pointers count as older; this one is not.
        frames, model = recorded.pixel_values()[:8], forgetful()
        session, whole = Sam3TrackerVideoInferenceSession(), Sam3TrackerVideoInferenceSession(frames)
        for each in (session, whole):
            click(each, 1, 0, 0.2, 0.33, original_size=recorded.SIZE)
        expected = follow(whole, model)
        for number, frame in enumerate(frames):
            found = model(inference_session=session, frame=frame)
            assert found.frame_idx == number
            assert torch.equal(found.pred_masks[0], expected[number][1])

    def test_clicks_between_frames_of_a_stream_are_heard(self) -> None:
        model, session = recorded.shared_tracker(), Sam3TrackerVideoInferenceSession()
        counts = []
        for seen in model.track(session, iter(recorded.pixel_values()[:4])):
            counts.append(len(seen.object_ids))
            if seen.frame_idx == 1:
                click(session, 1, 1, 0.2, 0.33, original_size=recorded.SIZE)
                assert (model(session, frame_idx=1).pred_masks > 0).any()
        assert counts == [0, 0, 1, 1]

    def test_a_frame_that_went_by_can_be_passed_again(self) -> None:
        model, session, frames = recorded.shared_tracker(), Sam3TrackerVideoInferenceSession(), recorded.pixel_values()
        click(session, 1, 0, 0.2, 0.33, original_size=recorded.SIZE)
        for frame in frames[:3]:
            model(session, frame=frame)
        with pytest.raises(ValueError, match="streamed frames are not kept"):
            model(session, frame_idx=0)
        click(session, 2, 1, 0.72, 0.62)
        assert model(session, frame_idx=1, frame=frames[1]).object_ids == [1, 2]
        assert model(session, frame=frames[3]).frame_idx == 3

    def test_a_stream_needs_an_object_when_it_is_read_frame_by_frame(self) -> None:
        with pytest.raises(ValueError, match="no object to follow yet"):
            recorded.shared_tracker()(Sam3TrackerVideoInferenceSession(), frame=recorded.pixel_values()[0])

    def test_a_frame_of_another_shape_is_refused(self) -> None:
        session = recorded.session()
        click(session, 1, 0, 0.2, 0.33)
        with pytest.raises(ValueError, match=r"\(3, side, side\) or \(1, 3, side, side\); got \(2, 3, 168, 168\)"):
            recorded.shared_tracker()(session, frame=recorded.pixel_values()[:2])


class TestResources:
    def test_the_vision_encoder_runs_once_per_frame(self) -> None:
        model, session, runs = recorded.shared_tracker(), recorded.session(), []
        click(session, 1, 0, 0.2, 0.33)
        click(session, 2, 0, 0.72, 0.62)
        hook = model.vision_encoder.register_forward_hook(lambda *_: runs.append(1))
        model(session, frame_idx=0)
        click(session, 1, 0, 0.3, 0.4, clear_old_inputs=False)
        model(session, frame_idx=0)
        follow(session, model, max_frame_num_to_track=4)
        hook.remove()
        assert len(runs) == 5

    def test_memory_stops_growing(self) -> None:
        session, sizes = recorded.session(), []
        click(session, 1, 0, 0.2, 0.33)
        for _ in forgetful().propagate_in_video_iterator(session):
            bank = session.objects[1].bank
            kept = [*bank.conditioning.values(), *bank.tracked.values()]
            sizes.append(sum(part.nbytes for memory in kept for part in memory.tensors().values()))
        assert max(sizes[9:]) <= max(sizes[:9])
        assert len(session.seen) == 1

    def test_everything_stays_on_request(self) -> None:
        session = recorded.session(keep_all=True)
        click(session, 1, 0, 0.2, 0.33)
        follow(session, forgetful())
        assert len(session.objects[1].bank.tracked) == 11
        assert all(memory.masks is not None for memory in session.objects[1].bank.tracked.values())

    def test_what_is_let_go_is_never_missed_by_the_next_frame(self) -> None:
        found = []
        for keep_all in (False, True):
            session = recorded.session(keep_all=keep_all)
            click(session, 1, 0, 0.2, 0.33)
            click(session, 2, 5, 0.72, 0.62)
            found.append(follow(session, forgetful()))
        assert len(session.objects[1].bank.tracked) == 11
        for frame in range(12):
            for obj_id in (1, 2):
                assert torch.equal(found[0][frame][obj_id], found[1][frame][obj_id])


class TestTheModel:
    def test_a_tracker_without_vision_encoder_says_so(self) -> None:
        model = Sam3TrackerVideoModel(recorded.shared_tracker().config, remove_vision_encoder=True).eval()
        session = recorded.session()
        click(session, 1, 0, 0.2, 0.33)
        with pytest.raises(ValueError, match="no vision encoder"):
            model(session, frame_idx=0)

    def test_memories_that_pointers_cannot_be_cut_into_are_refused(self) -> None:
        config = copy.deepcopy(recorded.shared_tracker().config)
        config.memory_encoder_output_channels = 12
        with pytest.raises(ValueError, match="Pointers of 32 channels cannot be cut into memories of 12"):
            Sam3TrackerVideoModel(config)

    def test_frames_in_bfloat16_are_followed(self) -> None:
        model = recorded.tracker().to(torch.bfloat16)
        session = recorded.session()
        click(session, 1, 0, 0.2, 0.33)
        masks = [seen.pred_masks for seen in model.propagate_in_video_iterator(session, max_frame_num_to_track=3)]
        exact = follow(_clicked(), max_frame_num_to_track=3)
        for frame, mask in enumerate(masks):
            assert mask.dtype == torch.bfloat16
            assert ((mask[0] > 0) == (exact[frame][1] > 0)).float().mean() > 0.97

    def test_the_image_trackers_answers_can_be_asked_of_it_too(self) -> None:
        model = recorded.shared_tracker()
        levels = model.get_image_embeddings(recorded.pixel_values()[:1])
        tokens, grid = model.get_prompt_embeddings(input_points=torch.tensor([[[[30.0, 50.0]]]]))
        assert [tuple(level.shape[-2:]) for level in levels] == [(48, 48), (24, 24), (12, 12)]
        assert tokens.shape == (1, 1, 2, 32)
        assert grid.shape == (1, 32, 12, 12)


def _clicked() -> Sam3TrackerVideoInferenceSession:
    session = recorded.session()
    click(session, 1, 0, 0.2, 0.33)
    return session


def test_neighbouring_frames_differ_in_what_they_show() -> None:
    masks = follow(_clicked(), max_frame_num_to_track=4)
    assert all(not torch.equal(masks[first][1], masks[second][1]) for first, second in pairwise(range(5)))
