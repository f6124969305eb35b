"""A model's answers to all questions of a ground truth file, image by image, in the form of a prediction file.

SA-Co: image, its phrases   -> an answer per phrase: detections above 0.3, boxes relative
COCO:  image, all categories -> an answer per image: its 100 best detections, boxes in pixels
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.evaluation.datapoints import Detections, GroundTruth
from sam3_hf.evaluation.detecting import predict, predict_best
from sam3_hf.evaluation.reading import Entry, entries_of
from sam3_hf.evaluation.saco import size_of
from sam3_hf.ops.masks import area_of_rle

_BEST = 100


class Task(NamedTuple):
    """An image and the ids of the answers that are wanted about it; `size` is (height, width)."""

    file: Path
    size: tuple[int, int]
    ids: list[int]


@dataclass(frozen=True)
class Phrases:
    """The questions of an SA-Co file: one per datapoint."""

    tasks: list[Task]
    texts: dict[int, str]

    @classmethod
    def of(cls, truth: GroundTruth, folder: Path) -> "Phrases":
        """The phrases of every image, which lies below `folder`.

        Raises:
            ValueError: A datapoint without a phrase or an image, or of another size than others of its image.
        """
        tasks: dict[str, Task] = {}
        for id, datapoint in truth.datapoints.items():
            if not datapoint.text or not datapoint.file_name:
                missing = "file_name" if datapoint.text else "text_input"
                raise ValueError(f"{truth.name}: the datapoint {id} has no {missing}.")
            task = tasks.setdefault(datapoint.file_name, Task(folder / datapoint.file_name, datapoint.size, []))
            if task.size != datapoint.size:
                raise ValueError(f"{truth.name}: the datapoints {task.ids[0]} and {id} give one image two sizes.")
            task.ids.append(id)
        return cls(list(tasks.values()), {id: datapoint.text or "" for id, datapoint in truth.datapoints.items()})

    def answers(
        self, model: Any, processor: Any, task: Task, image: Image.Image, prompts_at_once: int
    ) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Each id of a task with its detections."""
        prompts = tuple(PromptExample(self.texts[id], np.zeros((0, 4), np.float32)) for id in task.ids)
        found = predict(model, processor, [ImageExample(image, prompts)], prompts_at_once)
        for id, detections in zip(task.ids, found, strict=True):
            pixels = task.size[0] * task.size[1]
            yield id, [entry | {"area": entry["area"] / pixels} for entry in entries(id, detections)]


@dataclass(frozen=True)
class Categories:
    """The questions of a COCO file: every category, on every image."""

    tasks: list[Task]
    names: dict[int, str]

    @classmethod
    def of(cls, content: Mapping[str, Any], folder: Path, name: str) -> "Categories":
        """The images, which lie below `folder`, and the names of the categories by their ids.

        Raises:
            ValueError: An image or a category without what is needed.
        """
        images = entries_of(content["images"], f"{name}: images")
        tasks = [Task(folder / image.text("file_name"), size_of(image), [image.integer("id")]) for image in images]
        categories = list(entries_of(content["categories"], f"{name}: categories"))
        if not categories:
            raise Entry(content, name).wrong("categories", "a list of at least one category")
        return cls(tasks, {category.integer("id"): category.text("name") for category in categories})

    def answers(
        self, model: Any, processor: Any, task: Task, image: Image.Image, prompts_at_once: int
    ) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """The id of the task's image with its detections."""
        found = predict_best(model, processor, image, list(self.names.values()), _BEST, prompts_at_once)
        ids = list(self.names)
        for id in task.ids:
            yield id, [entry | {"category_id": ids[entry["category_id"]]} for entry in entries(id, found)]


def entries(id: int, detections: Detections) -> list[dict[str, Any]]:
    """Detections as a prediction file holds them; areas in pixels."""
    boxes, masks = detections.objects.shapes("bbox"), detections.objects.shapes("segm")
    columns: Sequence[Any] = (detections.categories.tolist(), masks, boxes.tolist(), detections.scores.tolist())
    return [
        {
            "image_id": id,
            "category_id": category,
            "segmentation": mask,
            "bbox": box,
            "score": score,
            "area": area_of_rle(mask),
        }
        for category, mask, box, score in zip(*columns, strict=True)
    ]
