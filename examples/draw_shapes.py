"""Draw scenes of the shapes dataset with their prompts on one sheet, to see what a model is trained on.

    python examples/draw_shapes.py SHEET.png --seed 0 --scenes 6 --prompts 4

One row per scene: the picture, then each prompt with the objects it means. Light frames are example boxes, dark frames
boxes of what is not meant.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.datasets.shapes.dataset import ShapesDataset
from sam3_hf.results import ImageSegmentation, Instance, Prompt, PromptResult
from sam3_hf.visualization.overlay import draw_overlay

TILE, LINE = 256, 16


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description="Draw scenes of the shapes dataset with their prompts.")
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--prompts", type=int, default=4)
    options = parser.parse_args()
    if options.sheet.exists():
        parser.error(f"{options.sheet} exists.")
    dataset = ShapesDataset(options.seed, options.scenes, options.prompts)
    sheet = Image.new("RGB", (TILE * (1 + options.prompts), (TILE + LINE) * options.scenes), "white")
    for row in range(options.scenes):
        for column, tile in enumerate(row_of(dataset[row])):
            sheet.paste(tile, (column * TILE, row * (TILE + LINE)))
    sheet.save(options.sheet)


def row_of(example: ImageExample) -> list[Image.Image]:
    """The picture as it is, and once per prompt."""
    title = f"{example.image.width} x {example.image.height}"
    return [titled(example.image, title), *(tile_of(example.image, prompt) for prompt in example.prompts)]


def tile_of(image: Image.Image, prompt: PromptExample) -> Image.Image:
    """What the prompt means, marked in the picture."""
    masks = [] if prompt.masks is None else torch.from_numpy(prompt.masks)
    objects = [Instance(1.0, tuple(box), mask) for box, mask in zip(prompt.boxes_xyxy_px.tolist(), masks, strict=True)]
    found = ImageSegmentation((image.height, image.width), [PromptResult(Prompt(None), objects)])
    picture = draw_overlay(image, found)
    pen = ImageDraw.Draw(picture)
    for box, label in zip(prompt.example_boxes_xyxy_px.tolist(), prompt.example_labels.tolist(), strict=True):
        pen.rectangle(box, outline="white" if label else "black", width=3)
    return titled(picture, f"{prompt.text}: {len(objects) or 'none'}")


def titled(picture: Image.Image, title: str) -> Image.Image:
    """The picture with a line of text above."""
    picture = picture.copy()
    picture.thumbnail((TILE, TILE))
    tile = Image.new("RGB", (TILE, TILE + LINE), "white")
    ImageDraw.Draw(tile).text((3, 1), title, fill="black")
    tile.paste(picture, (0, LINE))
    return tile


if __name__ == "__main__":
    main()
