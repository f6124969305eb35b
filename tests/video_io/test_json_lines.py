import json

import pytest
import torch

from sam3_hf.ops.masks import encode_rle
from sam3_hf.results import CodedInstance
from sam3_hf.video_io.json_lines import FrameResult, JsonLines, TrackedObject, read_json_lines
from sam3_hf.video_io.sources import VideoError


def result(frame, *ids):
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[1:3, 2:5] = True
    seen = CodedInstance(0.75, (2, 1, 5, 3), encode_rle(mask))
    return FrameResult(frame, frame / 25, [TrackedObject(number, "dög", seen) for number in ids], frame == 3)


def test_lines_give_back_what_was_written(tmp_path):
    written = [result(number, *range(number)) for number in range(5)]
    with JsonLines(tmp_path / "a.jsonl") as lines:
        for each in written:
            lines.write(each)
        assert lines.count == 5
        assert list(read_json_lines(tmp_path / "a.jsonl")) == written
    values = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()[3])
    assert values["damaged"] is True
    assert values["objects"][1]["area"] == 6
    assert values["objects"][1]["box"] == [2, 1, 5, 3]


def test_a_torn_line_is_cut_off_and_others_stay(tmp_path):
    path = tmp_path / "a.jsonl"
    whole = result(0, 1).to_line() + result(1).to_line()
    path.write_text(whole + result(2, 4).to_line()[:-9], encoding="utf-8")
    assert [each.frame for each in read_json_lines(path)] == [0, 1]
    with JsonLines(path) as lines:
        assert lines.count == 2
        lines.write(result(2))
    assert path.read_text(encoding="utf-8") == whole + result(2).to_line()


def test_a_damaged_line_in_between_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text(result(0).to_line() + '{"frame": 1}\n')
    with pytest.raises(VideoError, match="line 2 is not the result of a frame"):
        list(read_json_lines(tmp_path / "a.jsonl"))
