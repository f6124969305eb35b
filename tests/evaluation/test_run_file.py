import json

import pytest

from sam3_hf.evaluation.run_file import RunFile, read_run, run_path

HEADER = {"kind": "saco", "model": "m", "answers": 3}


@pytest.fixture
def path(tmp_path):
    return run_path(tmp_path / "pred.json")


def detections(*ids):
    return [{"image_id": id, "score": 0.5} for id in ids]


@pytest.fixture
def begun(path):
    """Two answers of three, one of them without detections."""
    with RunFile(path, HEADER) as run:
        run.add(7, detections(7, 7))
        run.add(3, [])
    return path


def test_a_run_is_kept_answer_by_answer(begun):
    state = read_run(begun)
    assert (state.header, state.done, state.detections) == (HEADER, [7, 3], detections(7, 7))
    assert read_run(begun, keep=False).detections == []


def test_an_answer_is_kept_once(begun):
    before = begun.read_bytes()
    with RunFile(begun, HEADER) as run:
        run.add(7, detections(7))
    assert begun.read_bytes() == before


def test_a_finished_run_becomes_a_prediction_file(begun, tmp_path):
    with RunFile(begun, HEADER) as run:
        run.add(9, detections(9))
        run.finish(tmp_path / "pred.json")
    assert json.loads((tmp_path / "pred.json").read_text()) == detections(7, 7, 9)
    assert [file.name for file in tmp_path.iterdir()] == ["pred.json"]


def test_a_run_that_found_nothing_becomes_an_empty_list(path, tmp_path):
    with RunFile(path, HEADER) as run:
        run.add(1, [])
        run.finish(tmp_path / "pred.json")
    assert json.loads((tmp_path / "pred.json").read_text()) == []


def test_wherever_a_line_is_torn_whole_answers_stay(begun):
    """Cut at every byte: what is lost is at most the answer that was being written."""
    whole = begun.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole) + 1):
        begun.write_bytes(whole[:length])
        kept = sum(end <= length for end in ends[1:])
        with RunFile(begun, HEADER) as run:
            assert len(run.done) == kept
            run.add(7, detections(7, 7))
            run.add(3, [])
        assert begun.read_bytes() == whole


def test_nothing_begun_is_no_run(path):
    assert read_run(path) is None
    path.write_bytes(b'{"kind": "sa')
    assert read_run(path) is None


def test_a_run_of_something_else_is_refused_and_kept(begun):
    before = begun.read_bytes()
    with pytest.raises(ValueError, match="belongs to a run with another model and answers"):
        RunFile(begun, HEADER | {"model": "n", "answers": 4})
    assert begun.read_bytes() == before


def test_one_program_at_a_time(begun):
    pytest.importorskip("fcntl")
    with RunFile(begun, HEADER), pytest.raises(ValueError, match="in use by another program"):
        RunFile(begun, HEADER)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{]\n", "line 4 is damaged"),
        (b"[1]\n", "line 4 is damaged"),
        (b'{"id": "x", "detections": []}\n', "line 4 is damaged: it holds no id with detections"),
        (b'{"id": 7, "detections": []}\n', "line 4 answers 7 again"),
    ],
)
def test_damage_in_the_middle_is_told(begun, line, message):
    begun.write_bytes(begun.read_bytes() + line + b'{"id": 12, "detections": []}\n')
    with pytest.raises(ValueError, match=f"{message}.*delete the file and start anew"):
        read_run(begun)
