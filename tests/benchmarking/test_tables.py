import json

import pytest

from sam3_hf.benchmarking.memory import Peak
from sam3_hf.benchmarking.tables import TIMING_COLUMNS, Table, bytes_cell, number, show, timing_cells
from sam3_hf.benchmarking.timing import Timing


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0, "0"), (0.00012, "0.00012"), (0.0123, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")],
)
def test_numbers_have_as_many_digits_as_they_mean(value, text):
    assert number(value) == text


def test_bytes_are_counted_in_powers_of_ten():
    assert [bytes_cell(count) for count in (None, 2_400_000, 1_230_000_000)] == ["", "2 MB", "1.23 GB"]


def test_tables_are_markdown(capsys):
    timing = Timing([1.0, 2.0, 3.0], Peak(3_000_000, 5_000_000_000, None))
    cells = ("vision [a]", *timing_cells(timing))
    show([Table("Steps", ("step", *TIMING_COLUMNS), [cells], [{"step": "vision"}])], "a machine")
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[:2] == ["a machine", "Steps"]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert rows[0] == ["step", *TIMING_COLUMNS]
    assert set(lines[3]) == {"|", "-"}
    assert rows[2] == ["vision [a]", "2.00", "1.50 to 2.50", "3 MB", "5.00 GB"]


def test_memory_of_a_gpu_is_shown_in_its_place():
    assert timing_cells(Timing([1.0], Peak(1, 2, 3_000_000)))[2] == "3 MB CUDA"


def test_details_are_json():
    table = Table("Steps", ("step",), [("vision",)], [{"step": "vision", "median_s": 1.5}])
    assert json.loads(json.dumps(table.to_dict()))["rows"][0]["median_s"] == 1.5
