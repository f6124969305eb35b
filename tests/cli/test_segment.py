import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support.hub import Repository, serving_hub
from tests.support.photographs import photograph
from typer.testing import CliRunner

from sam3_hf import __version__
from sam3_hf.cli import segmenting
from sam3_hf.cli.app import app, run
from sam3_hf.cli.prompts import read_box
from sam3_hf.loading import load
from sam3_hf.ops.masks import decode_rle
from sam3_hf.segmentation import segment

THRESHOLD = "0.35"
# Older versions of torch leave a temporary folder to the end of the program, which Python mentions.
STRICT = ("-W", "error", "-W", "ignore::ResourceWarning")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder with one photograph."""
    monkeypatch.chdir(tmp_path)
    photograph().save("cat.png")
    return tmp_path


@pytest.fixture
def start(place, model_folder, capsys):
    """Runs `segment` in this process; gives the exit code and what it said on stderr."""

    def start(*arguments, model=model_folder, threshold=THRESHOLD):
        arguments = [*arguments, "--threshold", threshold, "--device", "cpu"]
        code = run(["segment", *map(str, arguments), "--model", str(model)])
        captured = capsys.readouterr()
        start.said = captured.out
        return code, captured.err

    return start


def results(name, folder="sam3_output"):
    with open(f"{folder}/{name}.json", encoding="utf-8") as file:
        return json.load(file)


def test_each_image_gets_json_and_overlay(start, model_folder):
    photograph("coffee", (60, 80)).save("cup.jpg")
    assert start("cat.png", "cup.jpg", "--text", "ear", "--text", "nose", "--box", "5,5,40,40,neg") == (0, "")
    assert sorted(os.listdir("sam3_output")) == ["cat.json", "cat.png", "cup.json", "cup.png"]
    assert "Results of 2 image(s) are in sam3_output." in start.said
    values = results("cat")
    assert (values["image"], values["model"], values["size"]) == ("cat.png", str(model_folder), [64, 96])
    assert (values["threshold"], values["mask_threshold"]) == (float(THRESHOLD), 0.5)
    assert [prompt["text"] for prompt in values["prompts"]] == ["ear", "nose"]
    assert values["prompts"][0]["boxes"] == [{"box": [5, 5, 40, 40], "positive": False}]
    with Image.open("sam3_output/cup.png") as overlay, Image.open("cup.jpg") as image:
        assert overlay.size == image.size


def test_the_files_hold_what_the_library_finds(start, model_folder):
    start("cat.png", "--text", "ear")
    loaded = load(model_folder)
    (expected,) = segment("cat.png", "ear", model=loaded.model, processor=loaded.processor, threshold=float(THRESHOLD))
    objects = results("cat")["prompts"][0]["objects"]
    assert objects == expected.to_dict()["prompts"][0]["objects"]
    assert objects
    for entry, instance in zip(objects, expected.results[0].instances, strict=True):
        assert decode_rle(entry["mask"]).equal(instance.mask)
        assert entry["area"] == instance.area


def test_a_fast_decode_finds_places_in_the_whole_image(start, place, model_folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph(size=(1200, 800)).save("large.jpg", exif=exif)
    (place / "broken.jpg").write_bytes((place / "large.jpg").read_bytes()[:9000])
    code, said = start("large.jpg", "broken.jpg", "cat.png", "--text", "ear", "--fast-decode")
    assert (code, len(said.splitlines())) == (2, 1)
    assert "broken.jpg cannot be read" in said
    fast = results("large")
    assert (fast["size"], results("cat")["size"]) == ([1200, 800], [64, 96])
    with Image.open("sam3_output/large.png") as overlay:
        assert overlay.size == (800, 1200)
    loaded = load(model_folder)
    loaded.processor.image_processor.fast_decode = True
    (expected,) = segment(
        "large.jpg", "ear", model=loaded.model, processor=loaded.processor, threshold=float(THRESHOLD)
    )
    assert fast["prompts"] == expected.to_dict()["prompts"]


def test_the_table_counts_objects(start):
    start("cat.png", "--text", "[red]ear")
    count = len(results("cat")["prompts"][0]["objects"])
    line = next(line for line in start.said.splitlines() if "[red]ear" in line)
    assert line.replace("│", " ").split() == ["[red]ear", str(count), "1", "of", "1"]


def test_a_box_alone_is_a_prompt(start):
    assert start("cat.png", "--box", "5,5,40,40", "--no-overlay") == (0, "")
    assert os.listdir("sam3_output") == ["cat.json"]
    assert results("cat")["prompts"][0]["text"] is None
    assert "example" in start.said


def test_rotated_palette_and_16_bit_images_are_read(start):
    image = photograph()
    exif = image.getexif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save("turned.jpg", exif=exif)
    image.convert("P").save("palette.png")
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save("deep.png")
    assert start("turned.jpg", "palette.png", "deep.png", "--text", "ear", threshold="0.4") == (0, "")
    for name in ("turned", "palette", "deep"):
        assert results(name)["size"] == [64, 96]
        with Image.open(f"sam3_output/{name}.png") as overlay:
            assert overlay.size == (96, 64)


def test_a_damaged_image_does_not_stop_the_others(start, place):
    data = (place / "cat.png").read_bytes()
    (place / "broken.png").write_bytes(data[: len(data) // 2])
    code, said = start("broken.png", "cat.png", "--text", "ear", threshold="0.4")
    assert code == 2
    assert said.startswith("error: broken.png cannot be read: ")
    assert said.count("\n") == 1
    assert sorted(os.listdir("sam3_output")) == ["cat.json", "cat.png"]


def test_an_image_of_fractions_is_refused(start):
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save("float.tif")
    code, said = start("float.tif", "--text", "ear")
    assert (code, said) == (2, "error: float.tif holds fractions; convert it to 8 or 16 bits first.\n")


def test_results_are_not_replaced_unless_asked(start):
    start("cat.png", "--text", "ear", "--no-overlay")
    code, said = start("cat.png", "--text", "nose", "--no-overlay")
    assert code == 2
    assert said.startswith("error: Results exist already: ")
    assert results("cat")["prompts"][0]["text"] == "ear"
    assert start("cat.png", "--text", "nose", "--no-overlay", "--overwrite")[0] == 0
    assert results("cat")["prompts"][0]["text"] == "nose"


def test_interrupting_keeps_what_is_finished(start, monkeypatch):
    photograph().save("next.png")
    written = []

    def write_once(*arguments):
        if written:
            raise KeyboardInterrupt
        written.append(write(*arguments))

    write = segmenting.write_json
    monkeypatch.setattr(segmenting, "write_json", write_once)
    code, said = start("cat.png", "next.png", "--text", "ear", "--no-overlay")
    assert (code, said) == (130, "interrupted; finished results stay in sam3_output\n")
    assert os.listdir("sam3_output") == ["cat.json"]


def test_too_little_memory_is_told(start, monkeypatch):
    def exhaust(*arguments):
        raise torch.OutOfMemoryError("Tried to allocate 20 GiB.")

    monkeypatch.setattr(segmenting, "write_json", exhaust)
    code, said = start("cat.png", "--text", "ear", "--no-overlay")
    assert (code, said) == (
        2,
        "error: Out of memory; try --dtype bfloat16 or --device cpu. Tried to allocate 20 GiB.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png", "--text", "ear"], "missing.png does not exist."),
        (["notes.txt", "--text", "ear"], "notes.txt is not an image."),
        (["cat.png"], "Nothing to look for; pass --text, --box, or both."),
        (["cat.png", "--text", " "], "A text must say what to look for; got ' '."),
        (["cat.png", "--box", "1,2,3"], "--box '1,2,3' is not x1,y1,x2,y2"),
        (["cat.png", "--box", "1,2,3,x"], "--box '1,2,3,x' is not x1,y1,x2,y2"),
        (["cat.png", "--box", "1,2,3,4,maybe"], "--box '1,2,3,4,maybe' is not x1,y1,x2,y2"),
        (["cat.png", "--box", "9,0,9,9"], "A box needs x1 < x2"),
        (["cat.png", "--box", "nan,0,9,9"], "A box needs finite corners"),
        (["cat.png", "--box", "0,0,9,9,neg"], "A negative box needs a text"),
        (["cat.png", "--box", "100,0,109,9"], "cat.png: The box 100,0,109,9 lies outside the image"),
        (["cat.png", "--text", "ear", "--device", "gpu0"], "Unknown device 'gpu0'"),
        (["cat.png", "--text", "ear", "--dtype", "int8"], "Unknown dtype 'int8'"),
        (["cat.png", "--text", "ear", "--threshold", "1.5"], "threshold must lie in 0..1; got 1.5."),
        (["cat.png", "--text", "ear", "--threshold", "high"], "Invalid value for '--threshold'"),
        (["cat.png", "--text", "ear", "--output", "notes.txt"], "Cannot write to notes.txt"),
        (["cat.png", "--text", "ear", "--output", "."], "The result cat.png would replace the image itself"),
        (["cat.png", "--text", "ear", "--model", "./nowhere"], "No model folder './nowhere'"),
        (["cat.png", "--text", "ear", "--model", "empty"], "empty is not a complete model folder"),
        (["cat.png", "--text", "ear", "--model", "notes.txt"], "notes.txt is a file; convert"),
        (["cat.png", "--text", "ear", "--size", "3"], "No such option"),
        ([], "Missing argument"),
    ],
)
def test_a_mistake_gives_one_clear_line(place, model_folder, capsys, arguments, message):
    (place / "notes.txt").write_text("no image")
    (place / "empty").mkdir()
    defaults = {"--device": "cpu", "--model": str(model_folder)}
    extra = [part for name, value in defaults.items() if name not in arguments for part in (name, value)]
    assert run(["segment", *arguments, *extra]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {message}")
    assert said.count("\n") == 1
    assert not list(place.rglob("*.json"))


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("1,2,3,4", (1, 2, 3, 4, True)),
        (" 1.5, -2 ,3,4, NEG", (1.5, -2, 3, 4, False)),
        ("1,2,3,4,pos", (1, 2, 3, 4, True)),
    ],
)
def test_boxes_are_read_as_typed(text, box):
    assert read_box(text) == box


def test_help_names_every_option():
    said = CliRunner().invoke(app, ["segment", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for option in ("--text", "--box", "--model", "--output", "--threshold", "--dtype", "--device", "--overwrite"):
        assert option in said


def test_without_a_command_the_commands_are_shown(capsys):
    assert run([]) == 0
    assert "segment" in capsys.readouterr().out


def test_the_version_is_shown(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"sam3-hf {__version__}\n"


def test_it_runs_as_a_program(place, model_folder):
    command = [sys.executable, *STRICT, "-m", "sam3_hf", "segment", "cat.png", "--text", "ear"]
    options = ["--model", str(model_folder), "--output", "out", "--threshold", "0.4", "--device", "cpu"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(os.listdir("out")) == ["cat.json", "cat.png"]


def test_models_that_the_hub_refuses_give_one_clear_line(place, model_folder):
    names = ["someone/gated", "someone/absent"]
    script = f"""
from sam3_hf.cli.app import run
for name in {names}:
    assert run(["segment", "cat.png", "--text", "ear", "--device", "cpu", "--model", name]) == 2
"""
    with serving_hub() as hub:
        hub.repositories["someone/gated"] = Repository(model_folder, gated=True)
        environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(place / "hub")}
        command = [sys.executable, *STRICT, "-c", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    gated, absent = done.stderr.splitlines()
    page = f"{hub.address}/someone/gated"
    assert gated.startswith("error: someone/gated is a gated model: request access on its page, ")
    assert page in gated
    assert absent.startswith("error: There is no folder someone/absent here and no such model on the Hub")
    assert done.returncode == 0
