"""The example of the document on training the tracker runs, on a small model."""

import re
from pathlib import Path

import pytest

from sam3_hf.modeling_sam3_tracker_video import Sam3TrackerVideoModel
from tests.support.tracking import small_tracker, tracker_processor

DOCUMENT = (Path(__file__).parents[1] / "docs" / "training_tracker.md").read_text()


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_tracker().save_pretrained(tmp_path / "facebook" / "sam3")
    tracker_processor().save_pretrained(tmp_path / "facebook" / "sam3")
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    exec(compile(block, "training_tracker.md", "exec"), {})
    Sam3TrackerVideoModel.from_pretrained(tmp_path / "tracker")
