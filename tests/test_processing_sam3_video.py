from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from sam3_hf.modeling_sam3_video import Sam3VideoModel
from sam3_hf.processing_sam3_video import Sam3VideoProcessor
from tests.support import concept_golden as recorded
from tests.support.folders import tiny_processor
from tests.support.video_golden import FOLDER, SIZE, images


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Sam3VideoProcessor:
    parts = tiny_processor(tmp_path_factory.mktemp("processor"))
    return Sam3VideoProcessor(parts.image_processor, parts.tokenizer)


@pytest.fixture(scope="module")
def model() -> Sam3VideoModel:
    return recorded.tiny_model(hotstart_delay=0)


@pytest.fixture
def session(processor: Sam3VideoProcessor) -> Any:
    return processor.init_video_session(images()[:3])


class TestSessions:
    def test_frames_are_read_when_they_are_needed(self, processor: Sam3VideoProcessor) -> None:
        class Watched(list):
            read: ClassVar[list[int]] = []

            def __getitem__(self, number: int) -> Any:
                self.read.append(number)
                return super().__getitem__(number)

        video = Watched(images()[:3])
        session = processor.init_video_session(video)
        assert session.num_frames == 3
        assert session.video_size == SIZE
        assert set(video.read) == {0}
        assert session.get_frame(2).shape == (3, 168, 168)
        assert set(video.read) == {0, 2}

    def test_a_folder_of_pictures_is_a_video(self, processor: Sam3VideoProcessor) -> None:
        session = processor.init_video_session(FOLDER / "frames")
        assert session.num_frames == 12
        expected = processor.init_video_session(images()).get_frame(5)
        assert session.get_frame(5).equal(expected)

    def test_a_file_is_refused_with_what_to_pass(self, processor: Sam3VideoProcessor, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="Decode a video file"):
            processor.init_video_session(tmp_path / "film.mp4")

    def test_the_processor_comes_back_from_a_folder(self, processor: Sam3VideoProcessor, tmp_path: Path) -> None:
        processor.save_pretrained(tmp_path)
        loaded = Sam3VideoProcessor.from_pretrained(tmp_path)
        assert loaded.init_video_session(images()).get_frame(0).shape == (3, 168, 168)


class TestPrompts:
    def test_texts_add_up(self, processor: Sam3VideoProcessor, session: Any) -> None:
        processor.add_text_prompt(session, "cat")
        processor.add_text_prompt(session, ["dog", "cat"])
        assert session.prompts == {0: "cat", 1: "dog"}
        assert session.phrases[1].input_ids.shape == (1, 32)

    def test_boxes_are_pixels_of_the_video(self, processor: Sam3VideoProcessor, session: Any) -> None:
        processor.add_box_prompt(session, 1, [[24, 18, 72, 54], [0, 0, 48, 36]], [1, 0], text="cat")
        boxes, labels = session.phrases[0].boxes[1]
        assert boxes.tolist() == [[0.5, 0.5, 0.5, 0.5], [0.25, 0.25, 0.5, 0.5]]
        assert labels.tolist() == [1, 0]
        assert session.phrases[0].everywhere

    def test_one_box_without_text(self, processor: Sam3VideoProcessor, session: Any) -> None:
        processor.add_box_prompt(session, 0, [24, 18, 72, 54])
        assert session.prompts == {0: "visual"}
        assert not session.phrases[0].everywhere

    def test_a_click_is_scaled_to_the_models_input(self, processor: Sam3VideoProcessor, session: Any) -> None:
        processor.add_inputs_to_inference_session(session, 2, 7, input_points=[[[[48, 36]]]], input_labels=[[[1]]])
        assert session.pending[2][7].points.tolist() == [[84.0, 84.0]]

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda p, s: p.add_text_prompt(s, ""), "noun phrase"),
            (lambda p, s: p.add_text_prompt(s, [3]), "noun phrase"),
            (lambda p, s: p.add_box_prompt(s, 0, []), "at least one box"),
            (lambda p, s: p.add_box_prompt(s, 0, [[5, 5, 1, 1]]), "x1 <= x2"),
            (lambda p, s: p.add_box_prompt(p.init_video_session(), 0, [[0, 0, 5, 5]]), "original_size"),
            (lambda p, s: p.add_inputs_to_inference_session(s, 9, 1, input_points=[[[[4, 4]]]]), "no frame 9"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, processor: Any, session: Any, call: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            call(processor, session)


class TestResults:
    def test_masks_boxes_and_whose_they_are(
        self, processor: Sam3VideoProcessor, session: Any, model: Sam3VideoModel
    ) -> None:
        session.add_phrase(recorded.phrase("beta"))
        session.add_phrase(recorded.phrase("gamma"))
        said = model(session, frame_idx=0)
        shown = processor.postprocess_outputs(session, said)
        count = len(shown["object_ids"])
        assert count
        assert shown["masks"].shape == (count, *SIZE)
        assert shown["scores"].shape == (count,)
        assert shown["boxes"].shape == (count, 4)
        assert sorted(n for ids in shown["prompt_to_obj_ids"].values() for n in ids) == shown["object_ids"].tolist()
        assert shown["masks"].sum(0).max() == 1

    def test_phrases_may_share_pixels(self, processor: Sam3VideoProcessor, session: Any, model: Sam3VideoModel) -> None:
        session.add_phrase(recorded.phrase("beta"))
        session.add_phrase(recorded.phrase("gamma"))
        said = model(session, frame_idx=0)
        for share in ("prompt", "none"):
            whole = processor.postprocess_outputs(session, said, share=share)["masks"]
            assert whole.sum() >= processor.postprocess_outputs(session, said)["masks"].sum()
        with pytest.raises(ValueError, match="share is one of"):
            processor.postprocess_outputs(session, said, share="some")

    def test_a_stream_says_its_size(self, processor: Sam3VideoProcessor, model: Sam3VideoModel) -> None:
        session = processor.init_video_session()
        session.add_phrase(recorded.phrase("beta"))
        inputs = processor(images=images()[0], return_tensors="pt")
        said = model(session, frame=inputs["pixel_values"][0])
        with pytest.raises(ValueError, match="original_sizes"):
            processor.postprocess_outputs(session, said)
        shown = processor.postprocess_outputs(session, said, original_sizes=inputs["original_sizes"])
        assert shown["masks"].shape[1:] == SIZE
        assert torch.equal(shown["object_ids"], shown["object_ids"].sort().values)
