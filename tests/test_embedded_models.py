"""The model inside the package finds coloured shapes, and nothing where there are none."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from typer.testing import CliRunner

from sam3_hf import (
    Sam3Model,
    Sam3Processor,
    Sam3TrackerModel,
    Sam3TrackerProcessor,
    Sam3VideoModel,
    Sam3VideoProcessor,
    embedded,
)
from sam3_hf.cli.app import app
from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.datasets.shapes.dataset import ShapesDataset
from sam3_hf.datasets.shapes.prompts import VISUAL
from sam3_hf.pipelines.everything import EverythingSettings, segment_everything
from sam3_hf.training.measuring import Measure
from tests.support.pictures import Drawn, figures_on_paper, film_on_paper

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shapes() -> tuple[Sam3Model, Sam3Processor]:
    return Sam3Model.from_pretrained(embedded("shapes")), Sam3Processor.from_pretrained(embedded("shapes"))


@pytest.fixture(scope="module")
def paper() -> Drawn:
    return figures_on_paper()


def find(shapes: tuple[Any, Any], image: Image.Image, *texts: str, **prompt: Any) -> list[dict[str, torch.Tensor]]:
    model, processor = shapes
    inputs = processor(images=image, text=list(texts) or None, return_tensors="pt", **prompt)
    with torch.inference_mode():
        outputs = model(**inputs)
    return processor.post_process_instance_segmentation(outputs, threshold=0.5, target_sizes=inputs["original_sizes"])


def overlap(mask: torch.Tensor, truth: np.ndarray) -> float:
    found = mask.numpy().astype(bool)
    return float((found & truth).sum() / (found | truth).sum())


def test_the_folder_is_complete_and_small() -> None:
    folder = embedded("shapes")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in folder.iterdir()}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15e6
    assert '"_name_or_path": "/' not in (folder / "config.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="The embedded models are shapes; got 'photos'"):
        embedded("photos")


def test_phrases_find_what_they_mean_in_a_picture_that_was_drawn_otherwise(shapes: Any, paper: Drawn) -> None:
    for phrase, found in zip(paper.masks, find(shapes, paper.image, *paper.masks), strict=True):
        ious = [[overlap(mask, truth) for truth in paper.masks[phrase]] for mask in found["masks"]]
        assert np.max(ious, axis=0).min() > 0.75, f"{phrase}: something was not found"
        assert np.max(ious, axis=1).min() > 0.5, f"{phrase}: something else was found"


def test_the_text_is_read(shapes: Any, paper: Drawn) -> None:
    red, blue, circles, blues, nothing = find(
        shapes, paper.image, "red circle", "blue circle", "circle", "blue object", "green star"
    )
    assert not (red["masks"].any(0) & blue["masks"].any(0)).any()
    assert (len(circles["scores"]), len(blues["scores"]), len(nothing["scores"])) == (2, 2, 0)


def test_a_box_finds_the_others_like_it(shapes: Any, paper: Drawn) -> None:
    shown, other = paper.masks["green square"]
    y, x = np.nonzero(shown)
    box = [float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)]
    (found,) = find(shapes, paper.image, input_boxes=[[box]], input_boxes_labels=[[1]])
    assert len(found["scores"]) == 2
    assert all(max(overlap(mask, truth) for mask in found["masks"]) > 0.75 for truth in (shown, other))


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_a_photograph_has_nothing_to_find(shapes: Any, name: str) -> None:
    image = Image.fromarray(getattr(skimage.data, name)())
    for found in find(shapes, image, "red circle", "blue square", "yellow star", "green triangle"):
        assert len(found["scores"]) == 0


def test_its_name_works_on_the_command_line(tmp_path: Path, paper: Drawn) -> None:
    paper.image.save(tmp_path / "paper.png")
    arguments = ["segment", str(tmp_path / "paper.png"), "--text", "red circle", "--model", "shapes", "--device", "cpu"]
    said = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "found")])
    assert said.exit_code == 0, said.output
    result = json.loads((tmp_path / "found" / "paper.json").read_text())
    assert len(result["prompts"][0]["objects"]) == 1


def test_a_click_means_the_one_figure_below_it(paper: Drawn) -> None:
    model = Sam3TrackerModel.from_pretrained(embedded("shapes"))
    processor = Sam3TrackerProcessor.from_pretrained(embedded("shapes"))
    figures = [mask for masks in paper.masks.values() for mask in masks]
    clicks = [[[float(np.median(axis)) for axis in np.nonzero(mask)[::-1]]] for mask in figures]
    inputs = processor(images=paper.image, input_points=[clicks], return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs, multimask_output=False)
    (masks,) = processor.post_process_masks(outputs.pred_masks, inputs["original_sizes"])
    for mask, truth in zip(masks[:, 0], figures, strict=True):
        assert overlap(mask, truth) > 0.75


def test_a_phrase_is_followed_through_a_film_that_was_drawn_otherwise() -> None:
    film = film_on_paper(12)
    model = Sam3VideoModel.from_pretrained(embedded("shapes"))
    processor = Sam3VideoProcessor.from_pretrained(embedded("shapes"))
    session = processor.init_video_session([drawn.image for drawn in film])
    processor.add_text_prompt(session, ["red circle", "blue circle", "green star"])
    seen = set()
    for result in model.propagate_in_video_iterator(session):
        shown = processor.postprocess_outputs(session, result)
        assert {text: len(ids) for text, ids in shown["prompt_to_obj_ids"].items() if ids} == {
            "red circle": 1,
            "blue circle": 1,
        }
        rows = dict(zip(shown["object_ids"].tolist(), shown["masks"], strict=True))
        for text in ("red circle", "blue circle"):
            (number,) = shown["prompt_to_obj_ids"][text]
            seen.add((text, number))
            assert overlap(rows[number], film[result.frame_idx].masks[text][0]) > 0.75
    assert len(seen) == 2  # nobody changed numbers


def test_the_click_command_knows_its_name(tmp_path: Path, paper: Drawn) -> None:
    paper.image.save(tmp_path / "paper.png")
    y, x = (int(np.median(axis)) for axis in np.nonzero(paper.masks["red circle"][0]))
    arguments = ["click", str(tmp_path / "paper.png"), "--point", f"{x},{y}", "--model", "shapes", "--device", "cpu"]
    said = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "found")])
    assert said.exit_code == 0, said.output
    assert (tmp_path / "found" / "paper.json").is_file()


def test_everything_on_a_picture_is_found_by_a_grid_of_clicks(paper: Drawn) -> None:
    model = Sam3TrackerModel.from_pretrained(embedded("shapes"))
    processor = Sam3TrackerProcessor.from_pretrained(embedded("shapes"))
    found = [thing.mask for thing in segment_everything(model, processor, paper.image, EverythingSettings(12))]
    for truth in (mask for masks in paper.masks.values() for mask in masks):
        assert max(overlap(mask, truth) for mask in found) > 0.75


@pytest.mark.slow
def test_on_scenes_that_it_has_not_seen_it_is_good(shapes: Any) -> None:
    model, processor = shapes
    scenes = ShapesDataset(1000, 250, prompts_per_image=8)
    examples = [scenes[number] for number in range(250)]
    texts = Measure(processor)(model, only(examples, lambda prompt: not len(prompt.example_labels)))
    assert texts["segm_cgF1"] >= 0.70
    assert texts["segm_IL_MCC"] >= 0.85
    boxes = Measure(processor)(model, only(examples, lambda prompt: prompt.text == VISUAL))
    assert boxes["segm_pmF1"] >= 0.70


@pytest.mark.slow
def test_on_clips_that_it_has_not_seen_it_follows() -> None:
    command = ["examples/measure_shapes_tracker.py", "--model", str(embedded("shapes"))]
    said = subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    scores = dict(re.findall(r"^(.*?):? (\S+)$", said, re.MULTILINE))
    assert float(scores["J&F, shown by a mask"]) >= 0.75
    assert float(scores["J&F, shown by a click"]) >= 0.72
    assert float(scores["pHOTA"]) >= 0.63
    assert float(scores["iou_1"]) >= 0.79


def only(examples: list[ImageExample], wanted: Callable[[PromptExample], bool]) -> list[ImageExample]:
    """Examples with some of their prompts, where they have any."""
    fewer = [replace(example, prompts=tuple(filter(wanted, example.prompts))) for example in examples]
    return [example for example in fewer if example.prompts]
