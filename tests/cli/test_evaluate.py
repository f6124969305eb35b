import json
import math
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from tests.support.photographs import photograph
from typer.testing import CliRunner

from sam3_hf.cli import predicting
from sam3_hf.cli.app import app, run
from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.evaluation.detecting import predict
from sam3_hf.evaluation.run_file import RunFile, read_run
from sam3_hf.loading import load
from sam3_hf.ops.masks import decode_rle, encode_rle

DATA = Path(__file__).parents[1] / "data"
CGF1, VEVAL = DATA / "cgf1_toy", DATA / "veval_toy"
PHRASES = (("nose", "ear"), ("red cup", "nose", "cat"), ("ear",))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def load_once():
    """Loading, for each model and type once."""
    return cache(load)


@pytest.fixture
def start(place, load_once, monkeypatch, capsys):
    """Runs `evaluate` in this process; gives the exit code and what it said on stderr."""
    monkeypatch.setattr(predicting, "load", load_once)

    def start(*arguments):
        code = run(["evaluate", *map(str, arguments)])
        captured = capsys.readouterr()
        start.said = captured.out
        return code, captured.err

    return start


def read(path):
    return json.loads(Path(path).read_text())


class TestPredictionFiles:
    @pytest.mark.parametrize("case", ["a/segm", "oracle_abc/segm", "oracle_abc/bbox"])
    def test_the_results_are_those_of_the_original(self, start, case):
        expected = read(CGF1 / "expected.json")["results"][case]
        files = [CGF1 / name for name in expected["gt_files"]]
        how = ["--iou-type", expected["iou_type"], "--output", "result.json"]
        assert start("--predictions", CGF1 / "pred.json", "--ground-truth", *files, *how) == (0, "")
        result = read("result.json")
        assert {name: result[name] for name in expected["metrics"]} == pytest.approx(expected["metrics"], abs=1e-12)
        assert result["pmF1"] == result["positive_micro_F1"]
        assert f"{100 * result['cgF1']:.2f}" in start.said
        assert f"{result['IL_MCC']:.4f}" in start.said

    def test_annotators_can_be_named_by_repeating_the_option(self, start):
        files = [part for name in "abc" for part in ("--ground-truth", CGF1 / f"gt_{name}.json")]
        assert start("--predictions", CGF1 / "pred.json", *files, "--output", "result.json")[0] == 0
        expected = read(CGF1 / "expected.json")["results"]["oracle_abc/segm"]["metrics"]
        assert read("result.json")["cgF1"] == pytest.approx(expected["cgF1"], abs=1e-12)

    @pytest.mark.parametrize(("iou_type", "kind"), [("segm", "mask"), ("bbox", "bbox")])
    def test_videos_are_scored(self, start, iou_type, kind):
        files = ["--predictions", VEVAL / "pred.json", "--ground-truth", VEVAL / "gt.json"]
        assert start(*files, "--video", "--iou-type", iou_type, "--output", "result.json") == (0, "")
        expected = read(VEVAL / "expected.json")["dataset_results"]
        result = read("result.json")
        assert result["pHOTA"] == pytest.approx(expected[f"video_{kind}_all_phrase_HOTA"], abs=1e-9)
        assert result["cgF1"] == pytest.approx(expected[f"video_{kind}_demo_cgf1_micro_50_95"], abs=1e-9)
        assert f"{100 * result['pHOTA']:.2f}" in start.said

    def test_what_was_not_measured_is_null(self, start, place):
        (place / "none.json").write_text("[]")
        files = ["--predictions", "none.json", "--ground-truth", CGF1 / "gt_a.json"]
        assert start(*files, "--output", "result.json") == (0, "")
        assert read("result.json")["positive_macro_F1"] is None
        assert not any(isinstance(value, float) and math.isnan(value) for value in read("result.json").values())

    def test_the_table_needs_no_output_file(self, start, place):
        assert start("--predictions", CGF1 / "pred.json", "--ground-truth", CGF1 / "gt_a.json") == (0, "")
        assert "16.97" in start.said
        assert list(place.iterdir()) == []

    def test_results_are_not_replaced_unless_asked(self, start, place):
        files = ["--predictions", CGF1 / "pred.json", "--ground-truth", CGF1 / "gt_a.json", "--output", "result.json"]
        (place / "result.json").write_text("mine")
        assert start(*files) == (2, "error: result.json exists already; pass --overwrite or another --output.\n")
        assert (place / "result.json").read_text() == "mine"
        assert start(*files, "--overwrite") == (0, "")
        assert read("result.json")["datapoints"] == 6


class TestMistakes:
    @pytest.mark.parametrize(
        ("where", "change", "message"),
        [
            (
                "pred.json",
                lambda content: content[3].pop("score"),
                "pred.json[3] has no 'score', which must be a finite",
            ),
            ("pred.json", lambda content: content[2].update(score="x"), "pred.json[2].score must be a finite number"),
            ("pred.json", lambda content: content[2].update(segmentation=7), "pred.json[2].segmentation must be a run"),
            ("pred.json", lambda content: content.insert(1, 5), "pred.json[1] must be an object, got int"),
            (
                "gt_a.json",
                lambda content: content["annotations"][4].pop("image_id"),
                "gt_a.json: annotations[4] has no",
            ),
            ("gt_a.json", lambda content: content["images"][1].update(id=1), "gt_a.json: images[1].id must be unique"),
            (
                "gt_a.json",
                lambda content: content.pop("categories"),
                "gt_a.json has no 'categories', which must be a list",
            ),
            (
                "gt_a.json",
                lambda content: content["annotations"][0]["segmentation"].update(size=[20, 10]),
                "gt_a.json: annotations[0].segmentation must be a mask of the size [10, 20]",
            ),
        ],
    )
    def test_a_malformed_entry_is_named(self, start, place, where, change, message):
        for name in ("pred.json", "gt_a.json"):
            shutil.copy(CGF1 / name, place / name)
        content = read(where)
        change(content)
        (place / where).write_text(json.dumps(content))
        code, said = start("--predictions", "pred.json", "--ground-truth", "gt_a.json", "--output", "result.json")
        assert code == 2
        assert said.startswith(f"error: {message}"), said
        assert said.count("\n") == 1
        assert not (place / "result.json").exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--predictions", "nowhere.json"], "nowhere.json cannot be read: No such file"),
            (["--predictions", "torn.json"], "torn.json is not JSON"),
            (["--iou-type", "mask"], "iou_type must be segm or bbox, got 'mask'."),
            (["--positive-split"], "--positive-split is for files of COCO"),
            (["--images", "."], "--images has a meaning only with --model"),
            (["--video", "--allow-partial"], "--video scores one prediction file"),
            (["--model", "somewhere", "--allow-partial"], "--allow-partial is for scoring without --model"),
            (["--model", "./nowhere", "--predictions", "new.json"], "No model folder './nowhere'"),
            (["--output", CGF1 / "gt_a.json", "--overwrite"], f"{CGF1 / 'gt_a.json'} would replace another file"),
            (
                ["--output", "same.json", "--model", "x", "--predictions", "same.json"],
                "same.json would replace another",
            ),
        ],
    )
    def test_a_mistake_gives_one_clear_line(self, start, place, arguments, message):
        (place / "torn.json").write_text('[{"image_id"')
        defaults = {"--predictions": CGF1 / "pred.json", "--ground-truth": CGF1 / "gt_a.json"}
        extra = [part for name, value in defaults.items() if name not in arguments for part in (name, value)]
        code, said = start(*arguments, *extra)
        assert code == 2
        assert said.startswith(f"error: {message}"), said
        assert said.count("\n") == 1

    def test_annotators_are_named_in_one_way(self, start):
        files = ["--ground-truth", CGF1 / "gt_a.json", CGF1 / "gt_b.json", "--ground-truth", CGF1 / "gt_c.json"]
        code, said = start("--predictions", CGF1 / "pred.json", *files)
        assert (code, "but not both" in said) == (2, True)

    def test_a_missing_package_says_what_to_install(self, start, monkeypatch):
        monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
        code, said = start("--predictions", CGF1 / "pred.json", "--ground-truth", CGF1 / "gt_a.json")
        assert code == 2
        assert "This needs pycocotools" in said
        assert "pip install 'sam3-hf[eval]'" in said


@pytest.fixture
def gold(place):
    """Three photographs with phrases, as an SA-Co file; nobody annotated anything but one object."""
    images, id = [], 10
    for number, (name, phrases) in enumerate(zip(("chelsea", "coffee", "astronaut"), PHRASES, strict=True)):
        picture = photograph(name, (96 - 8 * number, 64))
        picture.save(f"{name}.png")
        for text in phrases:
            id += 1
            size = {"width": picture.width, "height": picture.height}
            images.append(
                {"id": id, "file_name": f"{name}.png", "text_input": text, "is_instance_exhaustive": 1, **size}
            )
    # Phrases of one image need not stand together.
    images.append(images.pop(1))
    mask = torch.zeros(64, 96, dtype=torch.bool)
    mask[10:30, 10:40] = True
    annotation = {"id": 1, "image_id": 11, "category_id": 1, "bbox": [0.1, 0.15, 0.3, 0.3], "iscrowd": 0}
    annotation["segmentation"] = encode_rle(mask)
    content = {"images": images, "annotations": [annotation], "categories": [{"id": 1, "name": "object"}]}
    (place / "gt.json").write_text(json.dumps(content))
    return content


@pytest.fixture
def model_run(start, model_folder):
    """Runs the model over the files in the working folder."""

    def model_run(*arguments, predictions="pred.json"):
        options = ["--model", model_folder, "--device", "cpu", "--ground-truth", "gt.json"]
        return start("--predictions", predictions, *options, *arguments)

    return model_run


def stop_after(answers, monkeypatch):
    """The user interrupts when so many answers are kept."""
    add = RunFile.add

    def counting(self, id, detections):
        if len(self.done) == answers:
            raise KeyboardInterrupt
        add(self, id, detections)

    monkeypatch.setattr(RunFile, "add", counting)


class TestModels:
    def test_the_prediction_file_is_in_the_published_form(self, model_run, gold, model_folder, load_once):
        assert model_run("--output", "result.json") == (0, "")
        predictions = read("pred.json")
        assert sorted(Path().glob("*.json*")) == [Path("gt.json"), Path("pred.json"), Path("result.json")]
        loaded = load_once(str(model_folder), "auto", "cpu")
        image = photograph("coffee", (88, 64))
        prompts = tuple(PromptExample(text, torch.zeros(0, 4).numpy()) for text in PHRASES[1])
        with torch.no_grad():
            expected = list(predict(loaded.model, loaded.processor, [ImageExample(image, prompts)], 8))
        for id, detections in zip((13, 14, 15), expected, strict=True):
            entries = [entry for entry in predictions if entry["image_id"] == id]
            assert [entry["score"] for entry in entries] == detections.scores.tolist()
            assert [entry["bbox"] for entry in entries] == detections.objects.boxes_xywh.tolist()
            assert [entry["segmentation"] for entry in entries] == detections.objects.masks
        assert {entry["image_id"] for entry in predictions} >= {11, 13, 14}
        for entry in predictions:
            assert set(entry) == {"image_id", "category_id", "segmentation", "bbox", "score", "area"}
            assert entry["category_id"] == 1
            assert entry["score"] >= 0.3
            assert all(value == round(value, 5) for value in (*entry["bbox"], entry["score"]))
            assert entry["area"] == pytest.approx(decode_rle(entry["segmentation"]).float().mean().item(), abs=1e-6)
        assert read("result.json")["datapoints"] == 6

    def test_the_file_gives_the_same_result_alone(self, model_run, gold, start):
        model_run("--output", "first.json")
        assert start("--predictions", "pred.json", "--ground-truth", "gt.json", "--output", "second.json") == (0, "")
        assert read("first.json") == read("second.json")

    @pytest.mark.parametrize("answers", [0, 1, 3])
    def test_an_interrupted_run_goes_on_and_ends_the_same(self, model_run, gold, monkeypatch, answers):
        assert model_run(predictions="whole.json")[0] == 0
        with monkeypatch.context() as patch:
            stop_after(answers, patch)
            code, said = model_run()
        assert (code, said) == (130, "interrupted; the same command goes on where it stopped\n")
        assert not Path("pred.json").exists()
        assert len(read_run(Path("pred.json.run.jsonl")).done) == answers
        assert model_run() == (0, "")
        assert Path("pred.json").read_bytes() == Path("whole.json").read_bytes()
        assert not Path("pred.json.run.jsonl").exists()

    def test_a_killed_run_loses_and_doubles_nothing(self, model_run, gold, model_folder):
        """The power fails in the middle of the fourth answer."""
        program = (
            "import os, signal, sys\n"
            "from sam3_hf.evaluation.run_file import RunFile\n"
            "whole = RunFile._append\n"
            "def torn(self, values):\n"
            "    if len(getattr(self, 'done', ())) == 3:\n"
            '        os.write(self._file.fileno(), b\'{"id": 14, "detections": [{"image_id": 14, "scor\')\n'
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "    whole(self, values)\n"
            "RunFile._append = torn\n"
            "from sam3_hf.cli.app import run\n"
            "sys.exit(run(sys.argv[1:]))\n"
        )
        options = ["--model", str(model_folder), "--device", "cpu", "--ground-truth", "gt.json"]
        command = [sys.executable, "-c", program, "evaluate", "--predictions", "pred.json", *options]
        killed = subprocess.run(command, capture_output=True, check=False, timeout=100)
        assert killed.returncode == -9
        assert Path("pred.json.run.jsonl").read_bytes().endswith(b"scor")
        assert model_run() == (0, "")
        assert model_run(predictions="whole.json") == (0, "")
        assert Path("pred.json").read_bytes() == Path("whole.json").read_bytes()

    def test_part_of_a_run_is_scored_only_when_asked(self, model_run, gold, start, monkeypatch):
        with monkeypatch.context() as patch:
            stop_after(3, patch)
            model_run()
        command = ["--predictions", "pred.json", "--ground-truth", "gt.json", "--output", "result.json"]
        code, said = start(*command)
        assert code == 2
        assert said.startswith("error: pred.json is not there: its run was interrupted after 3 of 6 answers.")
        assert start(*command, "--allow-partial") == (0, "")
        assert read("result.json")["datapoints"] == 3
        assert "Partial: 3 of 6 answers." in start.said
        assert len(read_run(Path("pred.json.run.jsonl")).done) == 3

    def test_answers_of_another_run_are_not_mixed_in(self, model_run, gold, monkeypatch):
        with monkeypatch.context() as patch:
            stop_after(2, patch)
            model_run()
        code, said = model_run("--dtype", "bfloat16")
        assert code == 2
        assert said.startswith("error: pred.json.run.jsonl belongs to a run with another dtype;")
        gold["images"][0]["text_input"] = "dog"
        Path("gt.json").write_text(json.dumps(gold))
        assert "another annotations" in model_run()[1]

    def test_predictions_are_not_replaced_unless_asked(self, model_run, gold):
        Path("pred.json").write_text("[]")
        code, said = model_run()
        assert code == 2
        assert said.startswith("error: pred.json exists already; leave out --model to score it")
        assert Path("pred.json").read_text() == "[]"
        assert model_run("--overwrite") == (0, "")
        assert read("pred.json")

    def test_a_missing_image_is_told_before_the_model_is_loaded(self, model_run, gold):
        Path("coffee.png").unlink()
        code, said = model_run()
        assert (code, said) == (2, "error: The image coffee.png does not exist; pass --images.\n")
        assert not Path("pred.json.run.jsonl").exists()

    def test_images_can_lie_elsewhere(self, model_run, gold):
        assert model_run(predictions="whole.json")[0] == 0
        Path("pictures").mkdir()
        for file in Path().glob("*.png"):
            file.rename(Path("pictures") / file.name)
        assert model_run("--images", "pictures")[0] == 0
        assert Path("pred.json").read_bytes() == Path("whole.json").read_bytes()

    def test_an_image_of_another_size_stops_the_run_and_keeps_what_is_done(self, model_run, gold):
        photograph("coffee", (50, 40)).save("coffee.png")
        code, said = model_run()
        assert code == 2
        assert (
            said == "error: coffee.png has the size [40, 50] (height, width), but the annotations of 13 say [64, 88].\n"
        )
        assert read_run(Path("pred.json.run.jsonl")).done == [11, 12]

    def test_a_phrase_is_needed(self, model_run, gold):
        del gold["images"][0]["text_input"]
        Path("gt.json").write_text(json.dumps(gold))
        assert model_run() == (2, "error: gt.json: the datapoint 11 has no text_input.\n")

    def test_too_little_memory_is_told(self, model_run, gold, monkeypatch):
        def exhaust(*arguments):
            raise torch.OutOfMemoryError("Tried to allocate 20 GiB.")

        monkeypatch.setattr(RunFile, "add", exhaust)
        assert model_run()[1].startswith("error: Out of memory; try --dtype bfloat16 or a lower --prompts-at-once.")


class TestCoco:
    @pytest.fixture
    def coco(self, place):
        """A folder with two photographs and their annotations, ids from 0."""
        folder = place / "valid"
        folder.mkdir()
        images = []
        for id, name in enumerate(("chelsea", "coffee")):
            photograph(name).save(folder / f"{name}.png")
            images.append({"id": id, "file_name": f"{name}.png", "width": 96, "height": 64})
        box = {"id": 0, "image_id": 1, "category_id": 2, "bbox": [10, 10, 40, 30], "area": 1200, "iscrowd": 0}
        categories = [{"id": id, "name": name} for id, name in enumerate(("nose", "ear", "red cup"))]
        content = {"images": images, "annotations": [box], "categories": categories}
        (folder / "_annotations.coco.json").write_text(json.dumps(content))
        return folder

    def run(self, start, model_folder, *more):
        command = ["--predictions", "pred.json", "--ground-truth", "valid", "--iou-type", "bbox"]
        return start(*command, "--model", model_folder, "--device", "cpu", *more)

    def test_a_folder_is_evaluated(self, start, coco, model_folder, load_once):
        assert self.run(start, model_folder, "--prompts-at-once", "2", "--output", "result.json") == (0, "")
        predictions = read("pred.json")
        loaded = load_once(str(model_folder), "auto", "cpu")
        for id, name in enumerate(("chelsea", "coffee")):
            entries = [entry for entry in predictions if entry["image_id"] == id]
            scores = [entry["score"] for entry in entries]
            inputs = loaded.processor(images=photograph(name), text=["nose", "ear", "red cup"], return_tensors="pt")
            with torch.no_grad():
                outputs = loaded.model(**inputs)
            found = loaded.processor.post_process_object_detection(outputs, 0.0, [(64, 96)])
            best = torch.cat([row["scores"] for row in found]).sort(descending=True).values[:100]
            assert scores == pytest.approx(best.tolist(), abs=2e-5)
            assert scores == sorted(scores, reverse=True)
            category = int(torch.tensor([row["scores"].max() for row in found]).argmax())
            assert entries[0]["category_id"] == category
            row = found[category]
            x1, y1, x2, y2 = row["boxes"][row["scores"].argmax()].tolist()
            assert entries[0]["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=1e-2)
        assert set(read("result.json")) >= {"AP", "AP_50", "AP_75"}
        assert 0 <= read("result.json")["AP"] < 1

    def test_the_positive_split_is_scored_too(self, start, coco, model_folder):
        self.run(start, model_folder, "--output", "all.json")
        command = ["--predictions", "pred.json", "--ground-truth", "valid", "--iou-type", "bbox"]
        assert start(*command, "--positive-split", "--output", "positive.json") == (0, "")
        assert read("positive.json")["AR_maxDets@100"] >= read("all.json")["AR_maxDets@100"]

    def test_an_interrupted_run_goes_on(self, start, coco, model_folder, monkeypatch):
        with monkeypatch.context() as patch:
            stop_after(1, patch)
            assert self.run(start, model_folder)[0] == 130
        command = ["--predictions", "pred.json", "--ground-truth", "valid", "--iou-type", "bbox", "--allow-partial"]
        assert start(*command) == (0, "")
        assert "Partial: 1 of 2 answers." in start.said
        assert self.run(start, model_folder) == (0, "")
        assert {entry["image_id"] for entry in read("pred.json")} == {0, 1}

    def test_annotations_must_be_told_apart(self, start, coco, model_folder):
        (coco / "_annotations.coco.json").rename(coco / "one.json")
        shutil.copy(coco / "one.json", coco / "two.json")
        assert "valid must hold one JSON file with annotations, but holds 2" in self.run(start, model_folder)[1]

    def test_there_is_one_annotator(self, start, coco):
        code, said = start("--predictions", "x.json", "--ground-truth", "valid", "valid")
        assert (code, "COCO's AP takes one file" in said) == (2, True)


def test_help_names_every_option():
    said = CliRunner().invoke(app, ["evaluate", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    names = ("predictions", "ground-truth", "iou-type", "video", "positive-split", "allow-partial", "model", "images")
    for option in (*names, "dtype", "device", "prompts-at-once", "output", "overwrite"):
        assert f"--{option}" in said
