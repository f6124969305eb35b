"""What docs/evaluation.md says works."""

import re
import shutil
from pathlib import Path

import pytest

from sam3_hf.evaluation import coco, images, models, tracking, videos

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "evaluation.md").read_text()


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for file in (ROOT / "tests" / "data" / "cgf1_toy").glob("*.json"):
        shutil.copy(file, tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    exec(compile(block, "evaluation.md", "exec"), {})
    assert [float(number) for number in capsys.readouterr().out.split()] == pytest.approx(
        [0.506623, 0.666667, 0.759935], abs=1e-6
    )


def test_the_functions_that_are_named_exist():
    rooms = {module.__name__.rsplit(".", 1)[1]: module for module in (coco, images, models, tracking, videos)}
    named = re.findall(r"^\| `evaluation\.(\w+)\.(\w+)\(", DOCUMENT, re.MULTILINE)
    assert len(named) == 5
    for room, name in named:
        assert callable(getattr(rooms[room], name))
