from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from tests.support.folders import write_model_folder
from tests.support.web import Photographs, serving
from transformers import pipeline

import sam3_hf

BOX = [100, 100, 300, 350]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def segment(folder: Path):
    return pipeline("promptable-segmentation", model=str(folder), device="cpu")


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return Image.fromarray(data.astronaut())


@pytest.fixture(scope="module")
def other() -> Image.Image:
    return Image.fromarray(data.coffee())


def threshold_of(segment, image: Image.Image, keep: int, **prompt: object) -> float:
    """A threshold that so many objects pass."""
    scores = sorted((found["score"] for found in segment(image, threshold=0.0, **prompt)), reverse=True)
    return (scores[keep - 1] + scores[keep]) / 2


def same(left: object, right: object) -> bool:
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    numbers = ("score", "box", "label")
    close = left["score"] == pytest.approx(right["score"], abs=1e-4) and left["label"] == right["label"]
    boxes = np.abs(np.subtract(list(left["box"].values()), list(right["box"].values()))).max() <= 1
    masks = (np.asarray(left["mask"]) != np.asarray(right["mask"])).mean() < 0.001
    return set(left) == {*numbers, "mask"} and close and boxes and masks


def test_a_text_gives_objects_the_surest_first(segment, photograph: Image.Image) -> None:
    found = segment(photograph, text="ear", threshold=threshold_of(segment, photograph, 5, text="ear"))
    assert len(found) == 5
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    assert {one["label"] for one in found} == {"ear"}
    assert all(one["mask"].size == photograph.size and one["mask"].mode == "L" for one in found)
    assert set(np.unique(np.stack([one["mask"] for one in found]))) <= {0, 255}
    assert set(found[0]["box"]) == {"xmin", "ymin", "xmax", "ymax"}


def test_results_are_those_of_model_and_processor(segment, photograph: Image.Image) -> None:
    inputs = segment.processor(images=photograph, text="ear", return_tensors="pt")
    with torch.no_grad():
        outputs = segment.model(**inputs)
    expected = segment.processor.post_process_instance_segmentation(outputs, 0.0, target_sizes=inputs["original_sizes"])
    found = segment(photograph, text="ear", threshold=0.0)
    best = expected[0]["scores"].argmax()
    assert found[0]["score"] == pytest.approx(expected[0]["scores"][best].item(), abs=1e-5)
    assert np.array_equal(np.asarray(found[0]["mask"]) > 0, expected[0]["masks"][best].numpy())


def test_a_list_of_texts_gives_a_list_per_text(segment, photograph: Image.Image) -> None:
    both = segment(photograph, text=["ear", "eye"], threshold=0.0, top_k=3)
    assert [found[0]["label"] for found in both] == ["ear", "eye"]
    assert same(both[0], segment(photograph, text="ear", threshold=0.0, top_k=3))
    assert same(both[1], segment(photograph, text="eye", threshold=0.0, top_k=3))


def test_boxes_alone_and_with_texts(segment, photograph: Image.Image) -> None:
    alone = segment(photograph, boxes=[BOX], threshold=0.0, top_k=2)
    assert alone[0]["label"] == "visual"
    combined = segment(photograph, text=["ear", "eye"], boxes=[BOX, BOX], box_labels=[1, 0], threshold=0.0, top_k=2)
    assert len(combined) == 2
    assert not same(combined[0], segment(photograph, text="ear", threshold=0.0, top_k=2))


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batches_equal_one_by_one(segment, photograph: Image.Image, other: Image.Image, batch_size: int) -> None:
    images = [photograph, other, photograph]
    options = {"text": ["ear", "cup"], "threshold": 0.0, "top_k": 2}
    together = segment(images, batch_size=batch_size, **options)
    assert len(together) == 3
    for image, found in zip(images, together, strict=True):
        assert same(found, segment(image, **options))


def test_prompts_may_differ_from_image_to_image(segment, photograph: Image.Image, other: Image.Image) -> None:
    items = [{"image": photograph, "boxes": [BOX]}, {"image": other, "text": ["cup", "spoon"]}]
    first, second = segment(items, batch_size=2, threshold=0.0, top_k=1)
    assert same(first, segment(photograph, boxes=[BOX], threshold=0.0, top_k=1))
    assert same(second, segment(other, text=["cup", "spoon"], threshold=0.0, top_k=1))


def test_images_come_from_files_and_addresses(segment, photograph: Image.Image, tmp_path: Path) -> None:
    photograph.save(tmp_path / "photograph.png")
    from_file = segment(str(tmp_path / "photograph.png"), text="ear", threshold=0.0, top_k=1)
    assert same(from_file, segment(photograph, text="ear", threshold=0.0, top_k=1))
    with serving(Photographs) as address:
        assert len(segment(f"{address}/000000077595.jpg", text="ear", threshold=0.0, top_k=1)) == 1


def test_an_iterator_is_read_as_it_comes(segment, photograph: Image.Image) -> None:
    assert len(segment((photograph for _ in range(3)), text="ear", threshold=0.0, top_k=1)) == 3


def test_half_precision_runs(folder: Path, photograph: Image.Image) -> None:
    segment = pipeline("promptable-segmentation", model=str(folder), dtype=torch.bfloat16, device="cpu")
    assert segment.model.dtype == torch.bfloat16
    assert segment(photograph, text="ear", threshold=0.0, top_k=1)[0]["mask"].size == photograph.size


def test_nothing_to_look_for_is_an_error(segment, photograph: Image.Image) -> None:
    with pytest.raises(ValueError, match="text"):
        segment(photograph)


def test_an_unknown_option_is_an_error(segment, photograph: Image.Image) -> None:
    with pytest.raises(TypeError, match="treshold"):
        segment(photograph, text="ear", treshold=0.3)


def test_the_stock_detection_pipeline_gives_the_same_boxes(folder: Path, segment, photograph: Image.Image) -> None:
    detect = pipeline("zero-shot-object-detection", model=str(folder), device="cpu")
    assert type(detect.model) is sam3_hf.Sam3Model
    threshold = threshold_of(segment, photograph, 5, text="ear")
    detected = detect(photograph, candidate_labels=["ear"], threshold=threshold)
    segmented = segment(photograph, text="ear", threshold=threshold)
    assert [found["box"] for found in detected] == [found["box"] for found in segmented]
    assert [found["score"] for found in detected] == pytest.approx([found["score"] for found in segmented], abs=1e-5)
