import json
import os

import pytest
from PIL import Image
from tests.support import tracker_golden as recorded
from tests.support.photographs import photograph

from sam3_hf.cli.app import run
from sam3_hf.cli.prompts import read_point
from sam3_hf.ops.masks import decode_rle
from sam3_hf.pipelines.refine import MaskEditor


@pytest.fixture(scope="module")
def tracker_folder(tmp_path_factory):
    return recorded.write_released(tmp_path_factory.mktemp("released"))


@pytest.fixture
def start(tmp_path, monkeypatch, tracker_folder, capsys):
    """Runs `click` in this process, where one photograph is; gives the exit code and what it said on stderr."""
    monkeypatch.chdir(tmp_path)
    photograph().save("cat.png")

    def start(*arguments, model=tracker_folder):
        code = run(["click", *map(str, arguments), "--model", str(model), "--device", "cpu"])
        return code, capsys.readouterr().err

    return start


def result():
    with open("sam3_output/cat.json", encoding="utf-8") as file:
        return json.load(file)


def test_the_files_hold_what_the_library_finds(start, tracker_folder):
    assert start("cat.png", "--point", "40,30", "--point", "80,60,neg", "--box", "20,10,70,50") == (0, "")
    assert sorted(os.listdir("sam3_output")) == ["cat.json", "cat.png"]
    editor = MaskEditor(recorded.shared_model(), recorded.tiny_processor(), "cat.png")
    expected = editor.say([(40, 30), (80, 60)], [1, 0], (20, 10, 70, 50))
    values = result()
    assert (values["image"], values["model"], values["size"]) == ("cat.png", str(tracker_folder), [64, 96])
    assert values["points"] == [{"point": [40, 30], "positive": True}, {"point": [80, 60], "positive": False}]
    assert values["around"] == [20, 10, 70, 50]
    assert decode_rle(values["object"]["mask"]).equal(expected)
    assert values["object"]["score"] == pytest.approx(editor.score, abs=1e-5)
    with Image.open("sam3_output/cat.png") as overlay:
        assert overlay.size == (96, 64)


def test_a_tracker_folder_needs_no_tokenizer(start, tmp_path):
    recorded.shared_model().save_pretrained(tmp_path / "plain")
    recorded.tiny_processor().save_pretrained(tmp_path / "plain")
    assert start("cat.png", "--point", "40,30", "--no-overlay", model=tmp_path / "plain") == (0, "")
    assert os.listdir("sam3_output") == ["cat.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cat.png"], "No object is shown; pass --point, --box, or both."),
        (["cat.png", "--point", "40"], "--point '40' is not x,y or x,y,neg with numbers in pixels."),
        (["cat.png", "--point", "40,30,no"], "--point '40,30,no' is not x,y or x,y,neg"),
        (["cat.png", "--point", "100,30"], "Point (100.0, 30.0) lies outside of image 0, which is 96 wide and 64 high"),
        (["cat.png", "--box", "50,10,20,50"], "with x1 <= x2 and y1 <= y2"),
        (["cat.png", "--box", "1,1,2,2,neg"], "--box shows the object itself and cannot be negative"),
        (["dog.png", "--point", "4,3"], "dog.png does not exist."),
        ([".", "--point", "4,3"], ". is a folder; points and boxes are about one image."),
        (["cat.png", "--point", "4,3", "--dtype", "int8"], "Unknown dtype 'int8'"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_code_2(start, arguments, message):
    code, said = start(*arguments)
    assert code == 2
    assert said.startswith("error: ")
    assert message in said
    assert len(said.splitlines()) == 1
    assert not os.path.exists("sam3_output")


def test_an_incomplete_folder_and_existing_results_are_refused(start, tmp_path):
    (tmp_path / "empty").mkdir()
    code, said = start("cat.png", "--point", "4,3", model=tmp_path / "empty")
    assert code == 2
    assert "no configuration (config.json)" in said
    assert "tokenizer" not in said
    start("cat.png", "--point", "4,3")
    assert start("cat.png", "--point", "4,3")[0] == 2
    assert start("cat.png", "--point", "4,3", "--overwrite")[0] == 0


def test_points_are_read_as_typed():
    assert read_point("3, 4.5") == (3, 4.5, True)
    assert read_point("3,4,NEG") == (3, 4, False)
