"""First lesson of the embedded model: its vision encoder names what every point of a picture belongs to.

picture -> vision encoder -> finest level -> colour, shape, texture and the distances to the sides of the box, per point

The heads are thrown away; what remains is an encoder that knows figures before it hears of prompts, as the released
model's was trained before its detector.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from sam3_hf import Sam3ImageProcessor, Sam3VisionModel
from sam3_hf.datasets.examples import ImageExample, PromptExample
from sam3_hf.datasets.shapes.colours import COLOURS
from sam3_hf.datasets.shapes.dataset import ShapesDataset, boxes_of
from sam3_hf.datasets.shapes.figures import TEXTURES
from sam3_hf.datasets.shapes.scene import Scene
from sam3_hf.datasets.shapes.silhouettes import SHAPES

WORDS = {"colour": COLOURS, "shape": SHAPES, "texture": TEXTURES}


class Points(NamedTuple):
    """A picture and, per point of a square grid, what it shows: indices of words (0: background) and of sides."""

    pixels: np.ndarray
    words: np.ndarray
    sides: np.ndarray


@dataclass(frozen=True)
class EveryShape(Dataset):
    """Scenes of `ShapesDataset` with one prompt that means every figure: where they are, before what they are."""

    scenes: ShapesDataset

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> ImageExample:
        scene, _ = self.scenes.scene(index)
        text = ("object", "shape", "objects", "shapes")[index % 4]
        return ImageExample(Image.fromarray(scene.pixels), (PromptExample(text, boxes_of(scene), scene.masks),), index)


@dataclass(frozen=True)
class DescribedShapes(Dataset):
    """Scenes of `ShapesDataset`, described at `grid` x `grid` points."""

    scenes: ShapesDataset
    grid: int

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Points:
        scene, _ = self.scenes.scene(index)
        height, width = scene.ids.shape
        y, x = (((np.arange(self.grid) + 0.5) * side / self.grid).astype(int) for side in (height, width))
        ids = scene.ids[np.ix_(y, x)]
        boxes = np.concatenate([np.zeros((1, 4), np.float32), boxes_of(scene)]) / (width, height, width, height)
        centres = (np.arange(self.grid) + 0.5) / self.grid
        x0, y0, x1, y1 = np.moveaxis(boxes[ids], -1, 0)
        sides = np.stack([centres[None] - x0, centres[:, None] - y0, x1 - centres[None], y1 - centres[:, None]])
        return Points(scene.pixels, table(scene)[:, ids], sides.astype(np.float32))


def table(scene: Scene) -> np.ndarray:
    """(kinds of words, 1 + figures): which word is said of each figure, counted from 1; 0 for the background."""
    rows = [[0, *(1 + words.index(getattr(each, kind)) for each in scene.figures)] for kind, words in WORDS.items()]
    return np.asarray(rows, np.int64)


class Describer(nn.Module):
    """A vision encoder with one linear head per question."""

    def __init__(self, vision: Sam3VisionModel) -> None:
        super().__init__()
        self.vision_encoder = vision
        width = vision.config.fpn_hidden_size
        self.heads = nn.ModuleDict({kind: nn.Conv2d(width, 1 + len(words), 1) for kind, words in WORDS.items()})
        self.sides = nn.Conv2d(width, 4, 1)

    def forward(self, pixel_values: Tensor, labels: Tensor, sides: Tensor) -> dict[str, Any]:
        """Loss of the words and of the sides; `labels` (images, kinds of words, grid, grid)."""
        level = self.vision_encoder(pixel_values).fpn_hidden_states[0]
        terms = {
            kind: F.cross_entropy(head(level), labels[:, number])
            for number, (kind, head) in enumerate(self.heads.items())
        }
        inside = (labels[:, :1] > 0).to(level.dtype)
        distances = (self.sides(level) - 2).exp()
        terms["sides"] = ((distances - sides).abs() * inside).sum() / (inside.sum() * 4 + 1)
        hit = (self.heads["colour"](level.detach()).argmax(1) == labels[:, 0]) & (labels[:, 0] > 0)
        terms["hit"] = hit.sum() / inside.sum().clamp(min=1)
        loss = terms["colour"] + terms["shape"] + 0.5 * terms["texture"] + 5 * terms["sides"]
        return {"loss": loss, "loss_dict": {name: term.detach() for name, term in terms.items()}}


@dataclass(frozen=True)
class DescribedCollator:
    """Makes a batch of described pictures."""

    images: Sam3ImageProcessor

    def __call__(self, examples: list[Points]) -> dict[str, Tensor]:
        """`pixel_values`, `labels` and `sides`."""
        pixels = self.images(images=[example.pixels for example in examples], return_tensors="pt")["pixel_values"]
        labels = torch.from_numpy(np.stack([example.words for example in examples]))
        return {
            "pixel_values": pixels,
            "labels": labels,
            "sides": torch.from_numpy(np.stack([e.sides for e in examples])),
        }
