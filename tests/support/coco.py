"""A small COCO data set: squares of three colours, each with its box and its polygon."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLOURS = {"red square": (220, 30, 30), "green square": (30, 200, 30), "blue square": (40, 60, 220)}
SIDE = 84


def write_split(
    folder: Path, count: int, seed: int = 0, masks: bool = True, name: str = "_annotations.coco.json"
) -> Path:
    """Images with one or two squares, beside their COCO file; the last colour is in none of them. Ids start at 0."""
    chance = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"images": [], "annotations": []}
    content["categories"] = [{"id": id, "name": name} for id, name in enumerate(COLOURS)]
    for number in range(count):
        pixels = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
        for category in chance.choice(2, size=int(chance.integers(1, 3)), replace=False).tolist():
            x, y, side = (int(value) for value in chance.integers((2, 2, 20), (40, 40, 40)))
            pixels[y : y + side, x : x + side] = list(COLOURS.values())[category]
            entry = {"id": len(content["annotations"]), "image_id": number, "category_id": category, "iscrowd": 0}
            corners = [x, y, x + side, y, x + side, y + side, x, y + side]
            entry |= {"bbox": [x, y, side, side], "segmentation": [corners] if masks else []}
            content["annotations"].append(entry)
        file = f"image{number}.png"
        Image.fromarray(pixels).save(folder / file)
        content["images"].append({"id": number, "file_name": file, "width": SIDE, "height": SIDE})
    (folder / name).write_text(json.dumps(content))
    return folder / name


def write_dataset(folder: Path, train: int = 6, valid: int = 3, masks: bool = True) -> Path:
    """A data set in Roboflow's layout."""
    write_split(folder / "train", train, 0, masks)
    write_split(folder / "valid", valid, 1, masks)
    return folder
