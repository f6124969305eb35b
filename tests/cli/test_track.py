import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from tests.support.folders import write_model_folder
from tests.support.videos import pixels, write_video, write_video_model

from sam3_hf.cli import tracking
from sam3_hf.cli.app import run
from sam3_hf.loading import load_video, load_video_tracker
from sam3_hf.ops.masks import decode_rle
from sam3_hf.video_io.json_lines import read_json_lines
from sam3_hf.video_io.opening import open_video

FRAMES = 18
CLICKS = ["--point", "3,2,40,30", "--point", "3,2,90,5,neg", "--point", "5,4,70,20"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return write_video_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A film there and back, so that it is longer than results are held back."""
    film = [*range(12), *range(10, 4, -1)]
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", pixels()[film], g="6", crf="10")


@pytest.fixture
def start(tmp_path, monkeypatch, model_folder, capsys):
    """Runs `track` in this process; gives the exit code and what it said on stderr."""
    monkeypatch.chdir(tmp_path)

    def start(*arguments, model=model_folder, output="out"):
        where = ["--model", str(model), "--device", "cpu", "--output", output]
        code = run(["track", *map(str, arguments), *where])
        return code, capsys.readouterr().err

    return start


def lines(folder="out"):
    return list(read_json_lines(Path(folder) / "results.jsonl"))


def masks_of(results):
    return {(each.frame, found.id): decode_rle(found.instance.code) for each in results for found in each.objects}


def same_masks(ones, others):
    return ones.keys() == others.keys() and all(mask.equal(others[key]) for key, mask in ones.items())


class TestResults:
    def test_phrases_give_what_the_library_finds(self, start, clip, model_folder):
        assert start(clip, "--text", "a", "--box", "0,10,10,50,50", "--overlay") == (0, "")
        assert sorted(os.listdir("out")) == ["overlay.mp4", "predictions.json", "results.jsonl", "run.json"]
        video = open_video(clip)
        model, processor = load_video(model_folder)
        session = processor.init_video_session(video)
        processor.add_text_prompt(session, "a")
        processor.add_box_prompt(session, 0, [10, 10, 50, 50], text="a")
        expected = {}
        for result in model.propagate_in_video_iterator(session):
            shown = processor.postprocess_outputs(session, result)
            ids = shown["object_ids"].tolist()
            expected |= {(result.frame_idx, n): mask for n, mask in zip(ids, shown["masks"], strict=True) if mask.any()}
        found = lines()
        assert [each.frame for each in found] == list(range(FRAMES))
        assert expected
        assert same_masks(masks_of(found), expected)
        assert {each.text for result in found for each in result.objects} == {"a"}
        overlay = open_video("out/overlay.mp4")
        assert [frame.time for frame in overlay.frames()] == [frame.time for frame in video.frames()]

    def test_points_alone_give_what_the_tracker_finds(self, start, clip, model_folder):
        assert start(clip, *CLICKS, "--end", 8) == (0, "")
        model, processor = load_video_tracker(model_folder)
        session = processor.init_video_session([open_video(clip)[number] for number in range(8)])
        say = processor.add_inputs_to_inference_session
        say(session, 2, 3, input_points=[[[[40, 30], [90, 5]]]], input_labels=[[[1, 0]]])
        say(session, 4, 5, input_points=[[[[70, 20]]]])
        expected = {}
        for result in model.propagate_in_video_iterator(session, 2):
            masks = processor.post_process_masks([result.pred_masks], [session.frames.size])[0][:, 0]
            found = zip(result.object_ids, masks, strict=True)
            expected |= {(result.frame_idx, number): mask for number, mask in found if mask.any()}
        assert expected
        assert same_masks(masks_of(lines()), expected)
        assert [each.objects for each in lines()[:2]] == [[], []]

    def test_chosen_frames_keep_their_numbers_and_prompts_mean_these(self, start, clip, model_folder):
        assert start(clip, "--point", "1,7,40,30", "--start", 1, "--every", 3) == (0, "")
        found = lines()
        assert [each.frame for each in found] == [1, 4, 7, 10, 13, 16]
        assert [each.time for each in found] == [number / 25 for number in (1, 4, 7, 10, 13, 16)]
        model, processor = load_video_tracker(model_folder)
        video = open_video(clip)
        session = processor.init_video_session([video[number] for number in range(1, FRAMES, 3)])
        processor.add_inputs_to_inference_session(session, 2, 1, input_points=[[[[40, 30]]]])
        areas = []
        for result in model.propagate_in_video_iterator(session, 2):
            masks = processor.post_process_masks([result.pred_masks], [video.size])[0]
            areas.append(int(masks.sum()))
        assert [sum(mask.sum() for mask in masks_of([each]).values()) for each in found] == [0, 0, *areas]
        assert any(areas)

    def test_evaluate_reads_the_predictions(self, start, clip, capsys):
        assert start(clip, "--text", "a", "--text", "b", "--video-id", 7, "--category-id", 3, "--category-id", 4) == (
            0,
            "",
        )
        predictions = json.loads(Path("out/predictions.json").read_text())
        assert {each["video_id"] for each in predictions} == {7}
        assert {each["category_id"] for each in predictions} <= {3, 4}
        files = [f"clip/{number}.jpg" for number in range(FRAMES)]
        video = {"id": 7, "video_name": "clip", "file_names": files, "height": 72, "width": 96, "length": FRAMES}
        right = [
            {**each, "id": place, "iscrowd": 0, "height": 72, "width": 96, "noun_phrase": "a"}
            for place, each in enumerate(predictions)
        ]
        pairs = [
            {"id": n, "video_id": 7, "category_id": n, "noun_phrase": t, "num_masklets": 1}
            for n, t in ((3, "a"), (4, "b"))
        ]
        categories = [{"id": 3, "name": "a"}, {"id": 4, "name": "b"}]
        truth = {"videos": [video], "annotations": right, "categories": categories, "video_np_pairs": pairs}
        Path("gt.json").write_text(json.dumps(truth))
        arguments = ["--predictions", "out/predictions.json", "--ground-truth", "gt.json", "--output", "scores.json"]
        assert run(["evaluate", "--video", *arguments]) == 0, capsys.readouterr().err
        assert json.loads(Path("scores.json").read_text())["pHOTA"] == pytest.approx(1)

    def test_a_folder_of_pictures_with_a_damaged_one_is_done_and_told(self, start, tmp_path):
        (tmp_path / "film").mkdir()
        for number in range(4):
            Image.fromarray(pixels()[number]).save(tmp_path / "film" / f"{number}.jpg")
        (tmp_path / "film" / "2.jpg").write_bytes(b"nothing")
        code, said = start("film", "--point", "0,0,40,30", "--fps", "10", "--overlay")
        assert code == 2
        assert said == "error: film: frames that cannot be decoded, for which the one before stands in: 2.\n"
        assert [each.damaged for each in lines()] == [False, False, True, False]
        assert [each.time for each in lines()] == [0, 0.1, 0.2, 0.3]
        assert len(open_video("out/overlay.mp4")) == 4

    def test_a_stream_is_followed_while_it_lasts(self, start, clip):
        assert start(clip, *CLICKS) == (0, "")
        assert start(f"file://{clip}", *CLICKS, "--overlay", output="live") == (0, "")
        assert [each.frame for each in lines("live")] == list(range(FRAMES))
        # Only a recording can be looked at ahead: there, object 5 is known before the frame that it is shown on.
        ours, theirs = masks_of(lines("live")[:5]), masks_of(lines()[:5])
        assert {number for frame, number in ours if frame < 4} == {3}
        assert all(ours[key].equal(theirs[key]) for key in ((2, 3), (4, 5)))
        assert len(open_video("live/overlay.mp4")) == FRAMES

    def test_a_stream_that_the_user_ends_is_complete(self, start, clip, monkeypatch):
        class Tired(tracking.FrameBar):
            gone = 0

            def advance(self):
                self.gone += 1
                if self.gone == 5:
                    raise KeyboardInterrupt

        monkeypatch.setattr(tracking, "FrameBar", Tired)
        assert start(f"file://{clip}", "--text", "a", "--overlay") == (0, "")
        assert [each.frame for each in lines()] == list(range(5))
        assert len(open_video("out/overlay.mp4")) == 5
        assert Path("out/predictions.json").exists()


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["clip.mp4"], "Nothing to follow; pass --text, --box or --point."),
            (["clip.mp4", "--point", "1,0,97,5"], "Point (97.0, 5.0) of object 1 lies outside of the video"),
            (
                ["clip.mp4", "--point", "1,18,9,5"],
                "Frame 18 of a prompt is not among the frames",
            ),
            (["clip.mp4", "--box", "30,1,1,9,5"], "Frame 30 of a prompt is not among the frames"),
            (["clip.mp4", "--box", "0,9,1,1,5"], "A box needs x1 < x2"),
            (
                ["clip.mp4", "--text", "a", "--start", "18"],
                "has 18 frames, counted from 0; start 18 is beyond them",
            ),
            (["clip.mp4", "--text", "a", "--end", "19"], "end 19 is beyond them"),
            (["clip.mp4", "--text", "a", "--fps", "9"], "has times of its own"),
            (["film.mp4", "--text", "a"], "film.mp4 does not exist."),
            (["words.mp4", "--text", "a"], "words.mp4 cannot be opened as a video"),
            (["photo.png", "--text", "a"], "photo.png is a picture, not a video"),
            ([".", "--text", "a", "--fps", "0.00001"], "--fps"),
            (["clip.mp4", "--text", "a", "--dtype", "int8"], "Unknown dtype 'int8'"),
            (["clip.mp4", "--text", "a", "--model", "nowhere"], "No model folder 'nowhere'"),
            (["http://localhost:1/a.mp4", "--text", "a", "--resume"], "cannot be read again from where it was"),
        ],
    )
    def test_what_cannot_be_used_is_one_line_and_exit_code_2(self, start, clip, monkeypatch, arguments, message):
        shutil.copy(clip, "clip.mp4")
        Path("words.mp4").write_text("words " * 100)
        Image.fromarray(pixels()[0]).save("photo.png")
        monkeypatch.setattr(tracking, "load_video", None)
        model = "nowhere" if "nowhere" in arguments else ()
        code, said = start(*arguments, **({"model": model} if model else {}))
        assert code == 2
        assert said.startswith("error: ")
        assert message in said
        assert len(said.splitlines()) == 1
        assert not os.path.exists("out")

    def test_without_pyav_the_extra_is_named(self, start, clip, monkeypatch):
        monkeypatch.setitem(sys.modules, "av", None)
        code, said = start(clip, "--text", "a")
        assert code == 2
        assert "pip install 'sam3-hf[video]'" in said

    def test_a_model_without_a_tokenizer_follows_points_but_no_phrases(self, start, clip, model_folder, tmp_path):
        shutil.copytree(model_folder, tmp_path / "plain")
        for name in ("tokenizer.json", "vocab.json", "tokenizer_config.json", "merges.txt"):
            (tmp_path / "plain" / name).unlink(missing_ok=True)
        code, said = start(clip, "--text", "a", model=tmp_path / "plain")
        assert code == 2
        assert "no tokenizer" in said

    def test_a_model_that_finds_but_cannot_follow_is_refused(self, start, clip, tmp_path):
        write_model_folder(tmp_path)
        code, said = start(clip, "--text", "a", model=tmp_path)
        assert code == 2
        assert said.splitlines()[-1].startswith(f"error: {tmp_path} cannot be loaded")
        # Nothing is in the way of the next attempt.
        assert start(clip, *CLICKS, "--end", 6) == (0, "")


class TestResuming:
    def test_existing_results_are_kept(self, start, clip):
        assert start(clip, *CLICKS, "--end", 6) == (0, "")
        before = Path("out/results.jsonl").read_bytes()
        code, said = start(clip, *CLICKS, "--end", 6)
        assert code == 2
        assert "Results exist already: out/results.jsonl; pass --resume to go on, or another --output." in said
        code, said = start(clip, "--point", "3,2,41,30", "--end", 6, "--resume")
        assert code == 2
        assert "out holds results of another run (points: " in said
        assert Path("out/results.jsonl").read_bytes() == before

    def test_what_is_complete_needs_no_model_any_more(self, start, clip, monkeypatch):
        assert start(clip, *CLICKS, "--end", 6) == (0, "")
        before = Path("out/results.jsonl").read_bytes()
        monkeypatch.setattr(tracking, "load_video_tracker", None)
        assert start(clip, *CLICKS, "--end", 6, "--resume", "--overlay") == (0, "")
        assert Path("out/results.jsonl").read_bytes() == before
        assert len(open_video("out/overlay.mp4")) == 6

    def test_a_torn_line_and_a_damaged_state_are_made_good(self, start, clip, monkeypatch):
        assert start(clip, *CLICKS, "--end", 9, output="whole") == (0, "")

        class Broken(tracking.FrameBar):
            gone = 0

            def advance(self):
                self.gone += 1
                if self.gone == 7:
                    raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(tracking, "FrameBar", Broken)
            assert start(clip, *CLICKS, "--end", 9, "--save-every", 0)[0] == 130
        assert sorted(os.listdir("out/state")) == ["5", "6"]
        (Path("out/state") / "6" / "state.safetensors").write_bytes(b"nothing")
        with open("out/results.jsonl", "ab") as file:
            file.write(b'{"frame": 99, "tim')
        code, said = start(clip, *CLICKS, "--end", 9, "--resume")
        assert code == 0
        assert said.startswith("warning: out/state/6/state.safetensors is damaged")
        assert said.endswith("Going on from an earlier state.\n")
        assert Path("out/results.jsonl").read_bytes() == Path("whole/results.jsonl").read_bytes()
        assert Path("out/predictions.json").read_bytes() == Path("whole/predictions.json").read_bytes()
        assert not os.path.exists("out/state")

    @pytest.mark.parametrize(
        ("prompts", "gone"),
        [
            (["--text", "a", "--point", "9,2,40,30"], 9),
            pytest.param(CLICKS, 5, marks=pytest.mark.slow),
            pytest.param(["--box", "1,10,10,50,50"], 16, marks=pytest.mark.slow),
        ],
        ids=["phrases", "points", "box"],
    )
    def test_a_killed_run_goes_on_as_if_nothing_had_happened(self, start, clip, model_folder, prompts, gone):
        assert start(clip, *prompts, "--overlay", output="whole") == (0, "")
        arguments = [clip, *prompts, "--overlay", "--save-every", "0", "--device", "cpu", "--output", "out"]
        command = [sys.executable, "-m", "sam3_hf", "track", *map(str, arguments), "--model", str(model_folder)]
        program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            while program.poll() is None and not any(Path("out/state").glob(f"{gone}*")):
                time.sleep(0.005)
        finally:
            program.kill()
            program.wait()
            program.stderr.close()
        assert program.returncode not in (0, 2)
        assert not os.path.exists("out/predictions.json")
        kept = Path("out/results.jsonl").read_bytes()
        assert start(*arguments[:-4], "--resume") == (0, "")
        resumed, whole = (Path(folder, "results.jsonl").read_bytes() for folder in ("out", "whole"))
        assert resumed == whole
        assert whole.startswith(kept[: kept.rfind(b"\n") + 1])
        assert len(open_video("out/overlay.mp4")) == FRAMES
        assert sorted(os.listdir("out")) == sorted(os.listdir("whole"))
