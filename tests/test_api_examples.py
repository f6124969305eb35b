"""Every example of the public API document runs, with one change: the import."""

import re
from pathlib import Path

import pytest
import torch

import sam3_hf
from tests.support.folders import write_model_folder
from tests.support.web import Photographs, serving

DOCUMENT = (Path(__file__).parent / "data" / "api_examples.md").read_text()
SECTIONS = re.findall(r"^## (.*?)\n\n```python\n(.*?)```", DOCUMENT, re.DOTALL | re.MULTILINE)


def code(block: str) -> str:
    """A block as a program of ours: no prompts, no ellipses, our package for theirs, http for every address."""
    lines = [line for line in block.splitlines() if line not in ("...", ">>>")]
    lines = [line.removeprefix(">>> ").removeprefix("... ") for line in lines]

    def imports(line: str) -> str:
        if not line.startswith("from transformers import"):
            return line
        names = [name.strip() for name in line.split("import")[1].split(",")]
        ours = [name for name in names if name in sam3_hf.__all__]
        theirs = [name for name in names if name not in ours]
        packages = {"sam3_hf": ours, "transformers": theirs}
        return "\n".join(f"from {package} import {', '.join(names)}" for package, names in packages.items() if names)

    return "\n".join(map(imports, lines)).replace("https://", "http://")


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory):
    """Names carry over from block to block; `facebook/sam3` is a folder here, and the web a server on this machine."""
    folder = tmp_path_factory.mktemp("api")
    write_model_folder(folder / "facebook" / "sam3")
    with serving(Photographs) as address, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("http_proxy", address)
        patch.setenv("no_proxy", "")
        yield {"Sam3Config": sam3_hf.Sam3Config}  # one block uses it without importing it


# The class reference repeats these; their full-size configuration is made without memory.
@pytest.mark.parametrize(("title", "block"), SECTIONS, ids=[title[:40] for title, _ in SECTIONS])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_example_runs(title: str, block: str, namespace: dict) -> None:
    program = code(block)
    device = "meta" if "Sam3Model(configuration)" in program else "cpu"
    with torch.device(device):
        exec(compile(program, title, "exec"), namespace)


def test_what_the_examples_leave_behind(namespace: dict) -> None:
    assert len(SECTIONS) == 13
    results = namespace["all_results"]
    assert len(results) == 2
    assert results[0]["masks"].shape[1:] == (512, 512)
    assert results[0]["masks"].dtype == torch.bool
    assert namespace["outputs"].pred_masks.shape[0] == 1
    assert type(namespace["model"]) is sam3_hf.Sam3Model
    assert type(namespace["processor"]) is sam3_hf.Sam3Processor
