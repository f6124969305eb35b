import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image
from skimage import data

from sam3_hf.model_card import CardDetails, model_card
from tests.support.folders import write_model_folder


def test_the_hub_reads_licence_base_model_and_task(tmp_path: Path) -> None:
    model_card("someone/my-sam3").save(tmp_path / "README.md")
    metadata = ModelCard.load(tmp_path / "README.md").data
    assert (metadata.license, metadata.license_name) == ("other", "sam-license")
    assert metadata.base_model == "facebook/sam3"
    assert metadata.pipeline_tag == "image-segmentation"
    assert "sam3" in metadata.tags


def test_usage_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_model_folder(tmp_path / "my-sam3")
    Image.fromarray(data.astronaut()).save("photograph.jpg")
    (usage,) = re.findall(r"```python\n(.*?)```", model_card("my-sam3").text, re.DOTALL)
    namespace: dict = {}
    exec(compile(usage, "card", "exec"), namespace)
    assert namespace["found"]["masks"].shape[1:] == (512, 512)


def test_tables_are_there_when_figures_are_given() -> None:
    text = model_card("a/b", CardDetails(evaluation={"cgF1": 0.54321}, parity={"pred_logits": 9.4e-6})).text
    assert "| cgF1 | 0.5432 |" in text
    assert "| pred_logits | 9.4e-06 |" in text
    assert "Evaluation" not in model_card("a/b").text
