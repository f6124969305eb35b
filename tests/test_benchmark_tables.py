"""The commands that make the tables of docs/benchmarks.md."""

import runpy
import shlex
from pathlib import Path

import pytest

from sam3_hf.cli import benchmarking
from sam3_hf.cli.app import run

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "all_tables.py"))
TABLES = SCRIPT["TABLES"] | SCRIPT["GPU_TABLES"]


@pytest.mark.parametrize("model", ["", "--tiny"])
@pytest.mark.parametrize("name", [name for name, command in TABLES.items() if command.startswith("sam3-hf")])
def test_the_command_line_understands_the_command(monkeypatch, name, model):
    planned = []
    monkeypatch.setattr(benchmarking, "run", lambda job: planned.append(benchmarking._plan(job)))
    command = TABLES[name].format(model=model).replace("--device cuda", "--device cpu")
    assert run(shlex.split(command)[1:]) == 0
    assert planned[0].settings.model is None


@pytest.mark.parametrize("name", [name for name, command in TABLES.items() if command.startswith("python")])
def test_the_script_is_there(name):
    assert (ROOT / shlex.split(TABLES[name])[1]).is_file()


def test_the_document_names_the_kinds_of_growth_and_the_scripts():
    document = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    scripts = {shlex.split(command)[1] for command in TABLES.values() if command.startswith("python")}
    assert all(f"python {script}" in document for script in scripts)
