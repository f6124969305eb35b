"""What sessions of the video model can do beyond the recorded ones."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from sam3_hf.image_processing_sam3 import Sam3ImageProcessor
from sam3_hf.modeling_sam3_video import Sam3VideoModel
from sam3_hf.ops.boxes import to_cxcywh
from sam3_hf.processing_sam3_video import Sam3VideoProcessor
from sam3_hf.video.concept_session import NO_PHRASE, Sam3VideoInferenceSession
from sam3_hf.video.frames import Frames
from sam3_hf.video.phrases import Boxes
from sam3_hf.video.prompts import ObjectPrompt
from sam3_hf.video.results import Sam3VideoSegmentationOutput, show
from tests.support import concept_golden as recorded
from tests.support.tolerances import SAME_MASKS
from tests.support.video_golden import SIZE, images, pixel_values

RULES = {"hotstart_delay": 4, "hotstart_unmatch_thresh": 3, "hotstart_dup_thresh": 3, "recondition_every_nth_frame": 3}
# Memory attention counts frames up to a limit; only a longer video is to a stream what it is as a whole.
POINTERS, LONG = 5, 10


@pytest.fixture(scope="module")
def model() -> Sam3VideoModel:
    model = recorded.tiny_model(**RULES)
    model.tracker_model.config.max_object_pointers_in_encoder = POINTERS
    model.tracker_model.config.num_maskmem = 4
    with torch.no_grad():
        table = model.tracker_model.memory_temporal_positional_encoding
        model.tracker_model.memory_temporal_positional_encoding = torch.nn.Parameter(table[:4])
    return model


@pytest.fixture(scope="module")
def streamed(model: Sam3VideoModel) -> tuple[Sam3VideoInferenceSession, list[Any], list[int]]:
    """A stream just before its end, the results that came out of it so far, and how long each waited."""
    stream, results, waited = stream_of("beta"), [], []
    for number, pixels in enumerate(pixel_values()[:LONG]):
        released = model.step(stream, pixels)
        waited += [number - result.frame_idx for result in released]
        results += released
    return stream, results, waited


def session_of(*names: str, **options: Any) -> Sam3VideoInferenceSession:
    session = recorded.open_session(**options)
    for name in names:
        session.add_phrase(recorded.phrase(name))
    return session


def stream_of(*names: str, **options: Any) -> Sam3VideoInferenceSession:
    session = Sam3VideoInferenceSession(None, *SIZE, **options)
    for name in names:
        session.add_phrase(recorded.phrase(name))
    return session


def of_phrase(result: Sam3VideoSegmentationOutput, number: int) -> list[int]:
    return [n for n in result.obj_id_to_mask if result.obj_id_to_prompt_id[n] == number]


def assert_same(ours: Iterable[Sam3VideoSegmentationOutput], theirs: Iterable[Sam3VideoSegmentationOutput]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert (one.frame_idx, one.visible_ids) == (other.frame_idx, other.visible_ids)
        for number in one.visible_ids:
            assert torch.allclose(one.obj_id_to_mask[number], other.obj_id_to_mask[number], **SAME_MASKS)


class TestPhrases:
    def test_each_finds_and_follows_what_it_finds_alone(self, model: Sam3VideoModel) -> None:
        together = list(model.propagate_in_video_iterator(session_of("beta", "gamma"), max_frame_num_to_track=3))
        for number, name in enumerate(("beta", "gamma")):
            alone = list(model.propagate_in_video_iterator(session_of(name), max_frame_num_to_track=3))
            for one, both in zip(alone, together, strict=True):
                mine = of_phrase(both, number)
                assert len(mine) == len(one.obj_id_to_mask)
                for own, shared in zip(one.obj_id_to_mask, mine, strict=True):
                    ours, theirs = one.obj_id_to_mask[own] > 0, both.obj_id_to_mask[shared] > 0
                    assert (ours != theirs).float().mean() < 0.003
        assert of_phrase(together[0], 0)
        assert of_phrase(together[0], 1)

    def test_a_phrase_that_comes_later_leaves_the_objects_of_others_as_they_are(self, model: Sam3VideoModel) -> None:
        session, alone = session_of("beta"), session_of("beta")
        for frame in range(2):
            model(session, frame_idx=frame)
        before = session.obj_ids
        session.add_phrase(recorded.phrase("gamma"))
        after = model(session, frame_idx=2)
        expected = [model(alone, frame_idx=frame) for frame in range(3)][-1]
        assert set(before) & set(after.object_ids)
        assert len(of_phrase(after, 0)) == len(expected.obj_id_to_mask)
        assert of_phrase(after, 1)

    def test_a_phrase_that_goes_takes_its_objects_along(self, model: Sam3VideoModel) -> None:
        session = session_of("beta", "gamma")
        first = model(session, frame_idx=0)
        session.remove_prompt("gamma")
        second = model(session, frame_idx=1)
        assert of_phrase(first, 1)
        assert not of_phrase(second, 1)
        assert of_phrase(second, 0)

    def test_its_objects_can_be_followed_on_without_it(self, model: Sam3VideoModel) -> None:
        session = session_of("beta")
        kept = model(session, frame_idx=0).object_ids
        session.remove_prompt("beta", keep_objects=True)
        results = [model(session, frame_idx=frame) for frame in range(1, 4)]
        assert all(result.object_ids == kept for result in results)

    def test_the_same_text_is_looked_for_once(self) -> None:
        session = session_of("beta", "beta", "gamma")
        assert session.prompts == {0: "beta", 1: "gamma"}

    def test_a_text_is_encoded_once_and_a_frame_is_seen_once(self, model: Sam3VideoModel) -> None:
        seen = {"texts": 0, "frames": 0}
        vision, text = model.detector_model.vision_encoder.backbone, model.detector_model.text_encoder
        hooks = [
            vision.register_forward_hook(lambda *_: seen.update(frames=seen["frames"] + 1)),
            text.register_forward_hook(lambda *_: seen.update(texts=seen["texts"] + 1)),
        ]
        list(model.propagate_in_video_iterator(session_of("beta", "gamma"), max_frame_num_to_track=3))
        for hook in hooks:
            hook.remove()
        assert seen == {"texts": 2, "frames": 4}


class TestBoxes:
    def boxes(self, *labels: int) -> Boxes:
        corners = torch.tensor([[0.15, 0.2, 0.55, 0.65], [0.5, 0.1, 0.9, 0.6]])[: len(labels)]
        return Boxes(to_cxcywh(corners), torch.tensor(labels))

    def test_several_boxes_say_something_else_than_one(self, model: Sam3VideoModel) -> None:
        scores = []
        for boxes in (self.boxes(1), self.boxes(1, 1), self.boxes(1, 0)):
            session = session_of("beta")
            session.add_boxes(0, 0, boxes)
            scores.append(tuple(model(session, frame_idx=0).obj_id_to_score.values()))
        assert len(set(scores)) == 3

    def test_boxes_of_one_phrase_are_nothing_to_another(self, model: Sam3VideoModel) -> None:
        alone, both = session_of("beta"), session_of("beta", "gamma")
        both.add_boxes(1, 0, self.boxes(1, 1))
        first = list(model(alone, frame_idx=0).obj_id_to_score.values())
        second = model(both, frame_idx=0)
        assert [second.obj_id_to_score[n] for n in of_phrase(second, 0)] == pytest.approx(first, abs=2e-4)

    def test_objects_found_by_boxes_alone_are_followed_where_nobody_looks_for_them(self) -> None:
        rules = {**RULES, "score_threshold_detection": 0.3, "hotstart_unmatch_thresh": 1}
        model, session = recorded.tiny_model(**rules), recorded.open_session()
        number = session.add_phrase(recorded.phrase("visual", everywhere=False))
        session.add_boxes(number, 0, self.boxes(1))
        results = list(model.propagate_in_video_iterator(session, max_frame_num_to_track=4))
        assert results[0].object_ids
        assert all(result.object_ids == results[0].object_ids for result in results)
        assert not session.removed_obj_ids


def test_between_frames_that_are_searched_objects_are_followed_and_not_doubted() -> None:
    model = recorded.tiny_model(**{**RULES, "hotstart_unmatch_thresh": 1}, detect_every_nth_frame=3)
    session = session_of("beta")
    ids = [model(session, frame_idx=frame).object_ids for frame in range(3)]
    assert ids[0] == ids[1] == ids[2]
    assert all(session.register.unmatched_frames.get(number, []) == [] for number in ids[0])


class TestStreams:
    def test_results_are_those_of_the_whole_video(self, model: Sam3VideoModel, streamed: Any) -> None:
        stream, results, waited = streamed
        whole = Sam3VideoInferenceSession(pixel_values()[:LONG], *SIZE)
        whole.add_phrase(recorded.phrase("beta"))
        assert set(waited) == {RULES["hotstart_delay"] - 1}
        assert_same([*results, *model.finish(stream)], model.propagate_in_video_iterator(whole))

    def test_nothing_grows_with_the_length_of_a_stream(self, streamed: Any) -> None:
        stream = streamed[0]
        assert len(stream.outputs) == len(stream.features) == len(stream.streamed) == 1
        for bucket in stream.buckets:
            whole = [memory for memory in bucket.bank.tracked.values() if memory.masks is not None]
            assert len(whole) <= bucket.bank.limits.recent == POINTERS
            assert len(bucket.bank.tracked) <= bucket.bank.limits.recent + bucket.bank.limits.pointers

    def test_a_click_on_the_last_frame_changes_the_result_that_waits(self, model: Sam3VideoModel) -> None:
        stream, results = stream_of("beta"), []
        for number, pixels in enumerate(pixel_values()[:6]):
            results += model.step(stream, pixels)
            if number == 2:
                stream.say(50, 2, ObjectPrompt(torch.tensor([[118.0, 100.0]]), torch.tensor([1])))
        results += model.finish(stream)
        followed = [50 in result.obj_id_to_mask for result in results]
        assert followed == [False] * 2 + [True] * 4
        assert results[-1].obj_id_to_prompt_id[50] == NO_PHRASE

    def test_a_frame_that_has_gone_by_cannot_be_clicked(self, model: Sam3VideoModel) -> None:
        stream = stream_of("beta")
        for pixels in pixel_values()[:2]:
            model.step(stream, pixels)
        with pytest.raises(ValueError, match="gone by"):
            stream.say(0, 0, ObjectPrompt(torch.zeros(1, 2), torch.tensor([1])))


class TestSaving:
    def test_a_stream_goes_on_as_if_it_had_not_been_saved(self, model: Sam3VideoModel, tmp_path: Path) -> None:
        from sam3_hf.video.concept_storage import load_session

        frames, stream = pixel_values()[:6], stream_of("beta", "gamma")
        for pixels in frames[:4]:
            model.step(stream, pixels)
        stream.save(tmp_path / "session")
        restored = load_session(tmp_path / "session", None)
        results = []
        for session in (stream, restored):
            results.append([each for pixels in frames[4:] for each in model.step(session, pixels)])
            results[-1] += model.finish(session)
        assert len(results[0]) == 5
        assert_same(*results)

    def test_clicks_boxes_and_kept_results_come_back(self, model: Sam3VideoModel, tmp_path: Path) -> None:
        from sam3_hf.video.concept_storage import load_session

        session = session_of("beta", keep_outputs=True)
        session.add_boxes(0, 0, TestBoxes().boxes(1, 0))
        model(session, frame_idx=0)
        session.say(0, 0, ObjectPrompt(torch.tensor([[60.0, 70.0]]), torch.tensor([1])))
        session.save(tmp_path / "session")
        again = load_session(tmp_path / "session", Frames(pixel_values(), lambda frame: (frame, SIZE)))
        assert_same([model(again, frame_idx=0)], [model(session, frame_idx=0)])
        assert again.phrases[0].boxes[0].labels.tolist() == [1, 0]

    def test_results_are_kept_where_they_are_wanted_and_the_rest_where_the_model_is(
        self, model: Sam3VideoModel, tmp_path: Path
    ) -> None:
        stream = stream_of("beta")
        for pixels in pixel_values()[:2]:
            model.step(stream, pixels)
        stream.save(tmp_path / "session")
        load: Any = partial(Sam3VideoProcessor.load_video_session, _WithoutTokenizer())
        elsewhere = load(tmp_path / "session", inference_state_device="meta", model=model)
        assert (elsewhere.inference_device.type, elsewhere.inference_state_device.type) == ("cpu", "meta")
        kept = [*elsewhere.outputs.values(), *elsewhere.delay.results]
        assert len(kept) == 3
        assert all(mask.is_meta for result in kept for mask in result.obj_id_to_mask.values())
        assert not any(part.is_meta for part in elsewhere.buckets[0].bank.conditioning[0].tensors().values())
        moved = load(tmp_path / "session").to("meta", "cpu")
        assert all(part.is_meta for part in moved.buckets[0].bank.conditioning[0].tensors().values())
        assert not any(mask.is_meta for result in moved.delay.results for mask in result.obj_id_to_mask.values())

    def test_a_restored_stream_takes_pictures(self, model: Sam3VideoModel, tmp_path: Path) -> None:
        stream = stream_of("beta")
        model.step(stream, pixel_values()[0])
        stream.save(tmp_path / "session")
        load: Any = partial(Sam3VideoProcessor.load_video_session, _WithoutTokenizer())
        restored = load(tmp_path / "session", model=model)
        assert [result.frame_idx for result in [*restored.step(images()[1]), *restored.finish()]] == [0, 1]

    def test_a_session_is_not_written_over_anything(self, tmp_path: Path) -> None:
        (tmp_path / "session").mkdir()
        with pytest.raises(ValueError, match="not overwritten"):
            session_of("beta").save(tmp_path / "session")


class TestDirections:
    def test_both_ways_from_the_middle_reach_every_frame_once(self, model: Sam3VideoModel) -> None:
        results = model.propagate_in_video_iterator(session_of("beta"), 4, 2, direction="both")
        assert [result.frame_idx for result in results] == [4, 5, 6, 3, 2]

    def test_results_come_before_the_video_has_ended(self, model: Sam3VideoModel) -> None:
        session = session_of("beta")
        next(iter(model.propagate_in_video_iterator(session)))
        assert session.last_frame == RULES["hotstart_delay"] - 1

    def test_frames_that_are_read_once_can_be_followed_forward(self, model: Sam3VideoModel) -> None:
        frames = Frames(iter(pixel_values()[:3]), lambda frame: (frame, SIZE))
        session = Sam3VideoInferenceSession(frames=frames)
        session.add_phrase(recorded.phrase("beta"))
        assert [result.frame_idx for result in model.propagate_in_video_iterator(session)] == [0, 1, 2]


class TestRefusals:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda model: model(recorded.open_session(), frame_idx=0), "Nothing is looked for"),
            (lambda model: model(session_of("beta")), "frame_idx"),
            (lambda model: model(session_of("beta"), frame_idx=99), "no frame 99"),
            (lambda model: model.propagate_in_video_iterator(session_of("beta"), 99), "no frame 99"),
            (lambda model: model.propagate_in_video_iterator(session_of("beta"), direction="up"), "direction"),
            (lambda model: model.propagate_in_video_iterator(stream_of("beta")), "has no video"),
            (lambda model: model.propagate_in_video_iterator(session_of("beta"), only_clicked=True), "clicked"),
            (lambda model: model.step(session_of("beta"), pixel_values()[0]), "video of its own"),
            (lambda model: stream_of("beta").step(images()[0]), "with the model"),
            (lambda model: session_of("beta").remove_object(7, strict=True), "no object 7"),
            (lambda model: session_of("beta").remove_prompt("delta"), "not looked for"),
        ],
    )
    def test_say_what_was_wrong(self, model: Sam3VideoModel, call: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            call(model)


class TestCameras:
    def test_pictures_go_in_and_results_come_out(self, model: Sam3VideoModel) -> None:
        session = Sam3VideoProcessor.init_video_session(_WithoutTokenizer(), model=model)
        session.add_phrase(recorded.phrase("beta"))
        results = [each for image in images()[:3] for each in session.step(image)] + session.finish()
        assert [result.frame_idx for result in results] == [0, 1, 2]
        assert session.video_size == SIZE
        with pytest.raises(ValueError, match="one size"):
            session.step(Image.new("RGB", (40, 40)))
        assert show(results[-1], SIZE).masks.shape[1:] == SIZE


class _WithoutTokenizer:
    """What of a processor a session needs."""

    image_processor = Sam3ImageProcessor(size=168, mask_size=48)
    _frames, _prepare = Sam3VideoProcessor._frames, Sam3VideoProcessor._prepare
