from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from sam3_hf.processing_sam3_tracker_video import Sam3TrackerVideoProcessor
from sam3_hf.video.session import Sam3TrackerVideoInferenceSession
from tests.support import video_golden as recorded


@pytest.fixture
def session() -> Sam3TrackerVideoInferenceSession:
    return recorded.session()


def add(session: Sam3TrackerVideoInferenceSession, obj_ids: object = 1, frame: int = 0, **inputs: object) -> None:
    recorded.processor().add_inputs_to_inference_session(session, frame, obj_ids, **inputs)


class TestVideos:
    def forms(self) -> dict[str, object]:
        frames = recorded.images()
        arrays = np.stack([np.asarray(frame) for frame in frames])
        return {
            "list of images": frames,
            "array": arrays,
            "tensor": torch.from_numpy(arrays).permute(0, 3, 1, 2),
            "iterator": iter(frames),
        }

    @pytest.mark.parametrize("form", ["list of images", "array", "tensor", "iterator"])
    def test_frames_come_in_many_forms(self, form: str) -> None:
        processor = recorded.processor()
        session = processor.init_video_session(self.forms()[form])
        expected = processor(images=recorded.images()[3], return_tensors="pt")["pixel_values"][0]
        assert torch.equal(session.get_frame(3), expected)
        assert (session.video_height, session.video_width) == recorded.SIZE

    def test_a_stream_has_no_frames(self) -> None:
        session = recorded.processor().init_video_session()
        assert (session.num_frames, session.video_height) == (None, None)

    def test_options_of_sessions_are_passed_on(self) -> None:
        session = recorded.processor().init_video_session(joint=True, dtype=torch.bfloat16)
        assert session.joint
        assert session.dtype == torch.bfloat16

    def test_a_file_name_is_no_video(self) -> None:
        with pytest.raises(ValueError, match="Open a file with"):
            recorded.processor().init_video_session("film.mp4")


class TestPrompts:
    def test_points_are_scaled_to_the_models_input(self, session: Sam3TrackerVideoInferenceSession) -> None:
        add(session, [3, 4], input_points=[[[[48, 36], [0, 72]], [[96, 0]]]], input_labels=[[[1, 0], [1]]])
        first, second = (session.objects[obj_id].prompts[0] for obj_id in (3, 4))
        torch.testing.assert_close(first.points, torch.tensor([[84.0, 84.0], [0.0, 168.0]]))
        assert first.labels.tolist() == [1, 0]
        torch.testing.assert_close(second.points, torch.tensor([[168.0, 0.0]]))

    def test_a_box_is_two_points_before_all_others(self, session: Sam3TrackerVideoInferenceSession) -> None:
        add(session, input_points=[[[[48, 36]]]], input_labels=[[[0]]], input_boxes=[[[12, 9, 72, 54]]])
        assert session.objects[1].prompts[0].labels.tolist() == [2, 3, 0]
        assert session.objects[1].prompts[0].points.tolist() == [[21, 21], [126, 126], [84, 84]]

    def test_of_several_objects_each_has_what_was_said_about_it(
        self, session: Sam3TrackerVideoInferenceSession
    ) -> None:
        add(session, [1, 2], input_points=[[None, [[48, 36]]]], input_boxes=[[[12, 9, 72, 54], None]])
        assert [session.objects[obj_id].prompts[0].labels.tolist() for obj_id in (1, 2)] == [[2, 3], [1]]

    @pytest.mark.parametrize("form", ["bool array", "tensor of shares", "batch", "list"])
    def test_masks_come_in_many_forms(self, form: str, session: Sam3TrackerVideoInferenceSession) -> None:
        mask = recorded.outputs()["prompt_mask.disc"]
        masks = {
            "bool array": mask.bool().numpy(),
            "tensor of shares": mask.float()[None, None],
            "batch": torch.stack([mask, mask]),
            "list": [mask, mask.bool()],
        }
        add(session, [1, 2] if form in ("batch", "list") else 1, input_masks=masks[form])
        assert torch.equal(session.objects[1].prompts[0].mask, mask.float()[None])

    def test_the_size_is_learnt_from_the_first_prompt_of_a_stream(self) -> None:
        session = recorded.processor().init_video_session()
        with pytest.raises(ValueError, match="Pass original_size"):
            add(session, input_points=[[[[1, 2]]]])
        add(session, input_points=[[[[1, 2]]]], original_size=torch.tensor([72, 96]))
        assert (session.video_height, session.video_width) == (72, 96)
        add(session, frame=1, input_points=[[[[1, 2]]]])

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ({}, "Nothing is said about the objects at \\[0\\]"),
            ({"input_points": [[[[1, 2]], [[3, 4]]]]}, "1 obj_ids, and input_points for 2 objects"),
            ({"input_points": [[[[1, 200]]]]}, "lies outside of image 0"),
            ({"input_boxes": [[[1, 2, 30, 40]]], "clear_old_inputs": False}, "A box comes before all points"),
            ({"input_masks": np.ones((4, 4), bool), "input_points": [[[[1, 2]]]]}, "pass input_masks alone"),
            ({"input_masks": np.full((4, 4), 255)}, "A mask is bool, or its values are 0 to 1"),
            ({"input_masks": np.ones((2, 4, 4), bool)}, "A mask of one object is \\(height, width\\)"),
            ({"input_masks": [np.ones((4, 4), bool)] * 2}, "1 obj_ids, and input_masks for 2 objects"),
            ({"obj_ids": [1, 1], "input_points": [[[[1, 2]], [[3, 4]]]]}, "names each object once"),
            ({"obj_ids": [], "input_points": [[]]}, "names each object once"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_before_anything_changes(
        self, inputs: dict, message: str, session: Sam3TrackerVideoInferenceSession
    ) -> None:
        with pytest.raises(ValueError, match=message):
            add(session, **inputs)
        assert session.obj_ids == []


class TestMasks:
    def test_masks_come_at_the_size_of_the_video(self) -> None:
        masks = torch.randn(2, 1, 48, 48)
        found = recorded.processor().post_process_masks([masks], [recorded.SIZE])[0]
        expected = torch.nn.functional.interpolate(masks, recorded.SIZE, mode="bilinear") > 0
        assert torch.equal(found, expected)

    def test_logits_are_given_on_request(self) -> None:
        masks = torch.randn(1, 1, 48, 48)
        found = recorded.processor().post_process_masks([masks], [recorded.SIZE], binarize=False)[0]
        assert found.dtype == torch.float32


def test_a_saved_session_is_continued_with_the_same_frames(tmp_path: Path) -> None:
    processor = recorded.processor()
    session = processor.init_video_session(recorded.images())
    add(session, input_points=[[[[20, 24]]]])
    session.save(tmp_path / "session")
    again = processor.load_video_session(tmp_path / "session", recorded.images())
    assert torch.equal(again.get_frame(2), session.get_frame(2))
    assert torch.equal(again.objects[1].prompts[0].points, session.objects[1].prompts[0].points)


def test_a_folder_of_transformers_gives_our_processor(tmp_path: Path) -> None:
    theirs = transformers.Sam3TrackerVideoProcessor(
        transformers.Sam3ImageProcessor(size={"height": 168, "width": 168}), transformers.Sam2VideoVideoProcessor()
    )
    theirs.save_pretrained(tmp_path)
    processor = Sam3TrackerVideoProcessor.from_pretrained(tmp_path)
    assert processor.target_size == 168
    processor.save_pretrained(tmp_path / "ours")
    assert Sam3TrackerVideoProcessor.from_pretrained(tmp_path / "ours").target_size == 168
