import json

import pytest

from sam3_hf.cli.app import run

QUICK = ("--tiny", "--picture", "80x60", "--objects", "3", "--rounds", "1", "--device", "cpu")


@pytest.fixture
def start(tmp_path, monkeypatch, capsys):
    """Runs `benchmark` in this process; gives the exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def start(*arguments):
        code = run(["benchmark", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return start


def cells(said):
    return [[cell.strip() for cell in line.strip(" |").split("|")] for line in said.splitlines() if "|" in line]


def test_steps_are_printed_and_written(start, tmp_path):
    code, said, _ = start(*QUICK, "--parts", "vision,masks", "--prompts", "1,2", "--roofline", "--json", "figures.json")
    assert code == 0
    first = [row[0] for row in cells(said)]
    assert first.count("vision") == first.count("masks") == 4
    values = json.loads((tmp_path / "figures.json").read_text())
    assert values["machine"]["dtype"] == "float32"
    assert [entry["prompts"] for entry in values["tables"][0]["rows"]] == [1, 1]
    assert all(entry["fraction"] > 0 for entry in values["tables"][1]["rows"])
    assert [entry["step"] for entry in values["tables"][1]["rows"]] == ["vision", "masks"]


def test_throughput_has_a_row_for_every_number_of_images_and_prompts(start):
    code, said, _ = start(*QUICK, "--batch", "1,2", "--prompts", "1,3", "--against", "transformers")
    assert code == 0
    found = cells(said)
    assert found[0][-2:] == ["images/s", "prompts/s"]
    assert [row[:2] for row in found[2::2]] == [["1", "1"], ["1", "3"], ["2", "1"], ["2", "3"]]


def test_growth_is_measured_at_the_points_given(start):
    code, said, _ = start(*QUICK, "--growth", "objects", "--points", "2,1")
    assert code == 0
    assert [row[0] for row in cells(said)[2:]] == ["1", "1", "2", "2"]


def test_a_model_folder_can_be_measured(start, model_folder):
    code, said, _ = start(*QUICK[1:], "--model", str(model_folder), "--parts", "text")
    assert code == 0
    assert cells(said)[2][0] == "text"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parts", "vision,nose"], "end-to-end; got 'nose'"),
        (["--growth", "age"], "calls; got 'age'"),
        (["--against", "theirs"], "transformers, plain; got 'theirs'"),
        (["--prompts", "0"], "--prompts '0' is not a list of whole numbers"),
        (["--picture", "12"], "WIDTHxHEIGHT"),
        (["--dtype", "int8"], "Unknown dtype 'int8'"),
        (["--dtype", "auto"], "Say which --dtype"),
        (["--image-size", "100"], "multiple of 14; got 100"),
        (["--attention", "telepathy"], "telepathy"),
        (["--compile-mode", "telepathy"], "--compile-mode knows default, "),
        (["--model", "."], "leave out --model"),
        (["--parts", "vision", "--batch", "1"], "--batch and --parts are measured by themselves"),
        (["--growth", "calls", "--roofline"], "--roofline is about steps"),
        (["--points", "1"], "--points belongs to one kind"),
        (["--growth", "calls", "--against", "plain"], "leave out --against"),
        (["--json", "nowhere/figures.json"], "nowhere is no folder"),
        (["--json", "there.json"], "there.json exists; pass --overwrite"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_code_2(start, tmp_path, arguments, message):
    (tmp_path / "there.json").write_text("{}")
    code, said, problem = start(*QUICK, *arguments)
    assert (code, said) == (2, "")
    assert problem.startswith("error: ")
    assert message in problem
    assert len(problem.splitlines()) == 1
    assert (tmp_path / "there.json").read_text() == "{}"
