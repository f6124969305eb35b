"""Every example of the document on video runs, on a tiny checkpoint and a short film."""

import re
import warnings
from pathlib import Path

import pytest

from sam3_hf.modeling_sam3_video import Sam3VideoModel
from sam3_hf.video_io.json_lines import FrameResult, JsonLines
from tests.support.videos import pixels, write_video, write_video_model

DOCUMENT = (Path(__file__).parents[1] / "docs" / "video.md").read_text()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples mention; `facebook/sam3` is a small model."""
    folder = tmp_path_factory.mktemp("desk")
    write_video_model(folder / "facebook" / "sam3")
    write_video(folder / "match.mp4", pixels())
    (folder / "results").mkdir()
    with JsonLines(folder / "results" / "results.jsonl") as lines:
        for number in range(len(pixels())):
            lines.write(FrameResult(number, number / 25, []))
    return folder


def test_python_examples_run(desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(desk)
    namespace: dict = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # transformers imports its video model for the processor
            exec(compile(block, "video.md", "exec"), namespace)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:12]] == [str(number) for number in range(12)]
    assert lines[12:19] == ["6", "7", "8", "9", "5", "4", "3"]
    assert namespace["corrected"].frame_idx == 2
    assert (desk / "paused" / "state.json").exists()
    assert (desk / "overlay.mp4").exists()


def test_the_memory_of_an_object_is_as_large_as_stated() -> None:
    config = Sam3VideoModel.config_class()
    tracker = config.tracker_config
    grid = tracker.prompt_encoder_config.image_size // tracker.prompt_encoder_config.patch_size
    memory, logits = 2 * tracker.memory_encoder_output_channels * grid**2, 4 * (4 * grid) ** 2
    frames = tracker.max_object_pointers_in_encoder
    assert (
        f"| {frames} frames tracked last | {memory / 1e6:.2f} MB of memory (bfloat16) and {logits / 1e6:.2f} MB"
        in DOCUMENT
    )
    assert f"memories of the best {tracker.num_maskmem - 1}, pointers of the best {frames - 1} |" in DOCUMENT
    assert f"{config.hotstart_delay - 1} for the released model" in DOCUMENT


@pytest.mark.parametrize("row", ["6: which", "3 more: their", "1 more |", "1: the scores", "5 more |"])
def test_waits_are_stated_as_they_are_tested(row: str) -> None:
    assert f"| {row}" in DOCUMENT
