"""What README says works."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.folders import write_model_folder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TEXTS = ("purple triangle", "orange triangle", "purple ring")


def blocks(language: str, document: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples mention; `facebook/sam3` is a small model."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(ROOT / "docs" / "images", folder / "docs" / "images")
    shutil.copytree(ROOT / "examples", folder / "examples")
    write_model_folder(folder / "facebook" / "sam3")
    return folder


def test_python_examples_run(desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(desk)
    namespace: dict = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), namespace)
    assert capsys.readouterr().out.startswith("torch.Size([")


NEEDS_VNNI = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="this processor has no VNNI instructions")


@pytest.mark.parametrize("name", ["prompts", "shapes", pytest.param("speed", marks=NEEDS_VNNI)])
def test_python_examples_of_documents_run(name: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    namespace: dict = {}
    for block in blocks("python", (ROOT / "docs" / f"{name}.md").read_text()):
        exec(compile(block, name, "exec"), namespace)


def test_the_main_commands_run(desk: Path) -> None:
    commands = [line for line in blocks("bash")[0].splitlines() if not line.startswith("python3 -m venv")]
    assert len(commands) == 1
    program, *arguments = shlex.split(commands[0])
    assert program == "sam3-hf"
    subprocess.run(
        [sys.executable, "-m", "sam3_hf", *arguments], cwd=desk, check=True, capture_output=True, timeout=200
    )
    assert {path.name for path in (desk / "sam3_output").iterdir()} == {"shapes.json", "shapes.png"}
    prompts = json.loads((desk / "sam3_output" / "shapes.json").read_text())["prompts"]
    assert [len(prompt["objects"]) for prompt in prompts] == [3, 2]


def test_the_small_model_tracks_as_shown(desk: Path) -> None:
    (command,) = [block for block in blocks("bash") if block.startswith("sam3-hf track docs/images")]
    arguments = [*shlex.split(command)[1:], "--output", "tracked"]
    subprocess.run(
        [sys.executable, "-m", "sam3_hf", *arguments], cwd=desk, check=True, capture_output=True, timeout=200
    )
    lines = [json.loads(line) for line in (desk / "tracked" / "results.jsonl").read_text().splitlines()]
    assert (desk / "tracked" / "overlay.mp4").is_file()
    objects = [each for line in lines for each in line["objects"]]
    followed = {text: {each["id"] for each in objects if each["text"] == text} for text in TEXTS}
    assert len(followed["purple ring"]) == 1
    assert sum(any(each["text"] == "purple ring" for each in line["objects"]) for line in lines) > 0.9 * len(lines)
    assert all(followed.values())


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_parity_table_repeats_the_document() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \|", README, re.MULTILINE)
    document = (ROOT / "docs" / "parity.md").read_text()
    assert len(rows) == 5
    for name, tolerance, largest in rows:
        assert f"| `{name}` | {tolerance} | {largest} |" in document
