"""First lessons of the embedded model: to name what it sees, and to mark what a prompt or a click means.

look:  picture -> vision encoder -> tokens -> colour, shape, texture and box of what every point belongs to
read:  prompt + tokens -> DETR encoder -> which points are meant
point: click + tokens -> two-way transformer of the tracker -> which points are meant, and the box around them

The heads are thrown away; what remains is an encoder that knows figures before it hears of prompts, as the released
model's was trained before its detector, one that reads prompts before queries have to find boxes for them, and one that
looks where a click points to before it has to draw masks.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from sam3_hf import Sam3ImageProcessor, Sam3Model, Sam3VisionModel
from sam3_hf.datasets.examples import ImageExample
from sam3_hf.datasets.shapes.colours import COLOURS
from sam3_hf.datasets.shapes.dataset import ShapesDataset, boxes_of
from sam3_hf.datasets.shapes.figures import TEXTURES
from sam3_hf.datasets.shapes.prompts import Ask
from sam3_hf.datasets.shapes.scene import Scene
from sam3_hf.datasets.shapes.silhouettes import SHAPES
from sam3_hf.detector.prompts import BoxPrompt
from sam3_hf.ops.masks import boxes_of_masks
from sam3_hf.ops.positions import grid_positions
from sam3_hf.ops.tokens import PaddedTokens, join, to_grid, to_tokens
from sam3_hf.training.rehearsal import overheard
from sam3_hf.training.tracking import TrackerLearner

WORDS = {"colour": COLOURS, "shape": SHAPES, "texture": TEXTURES}
# Points per token and axis.
FINE = 4


class Described(NamedTuple):
    """An example and, per point of a square grid, which figure it belongs to; what each is called, and its box.

    Figures are counted from 1, and so are their words; 0 is the background. Boxes are x1, y1, x2, y2 in 0..1.
    """

    example: ImageExample
    ids: np.ndarray
    words: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class DescribedShapes(Dataset):
    """Scenes of `ShapesDataset`, described at `grid` x `grid` points."""

    scenes: ShapesDataset
    grid: int

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Described:
        scene, asks = self.scenes.scene(index)
        height, width = scene.ids.shape
        y, x = (((np.arange(self.grid) + 0.5) * side / self.grid).astype(int) for side in (height, width))
        example = self.scenes.example(scene, asks, index)
        boxes = np.concatenate([np.zeros((1, 4), np.float32), boxes_of(scene)]) / (width, height, width, height)
        return Described(example, scene.ids[np.ix_(y, x)].astype(np.int64), table(scene), boxes.astype(np.float32))


def table(scene: Scene) -> np.ndarray:
    """(kinds of words, 1 + figures): which word is said of each figure, counted from 1; 0 for the background."""
    rows = [[0, *(1 + words.index(getattr(each, kind)) for each in scene.figures)] for kind, words in WORDS.items()]
    return np.asarray(rows, np.int64)


@dataclass(frozen=True)
class DescribedCollator:
    """Makes a batch of described pictures."""

    images: Sam3ImageProcessor

    def __call__(self, examples: list[Described]) -> dict[str, Tensor]:
        """What `Describer.forward` takes."""
        pixels = self.images(images=[each.example.image for each in examples], return_tensors="pt")["pixel_values"]
        described = {
            "words": np.stack([each.words[:, each.ids] for each in examples]),
            "ids": np.stack([each.ids for each in examples]),
            "boxes": np.stack([each.boxes[each.ids] for each in examples]),
        }
        return {"pixel_values": pixels} | {name: torch.from_numpy(value) for name, value in described.items()}


class Describer(nn.Module):
    """Lesson "look": a vision encoder, with one linear head per question."""

    def __init__(self, vision: Sam3VisionModel) -> None:
        super().__init__()
        self.vision_encoder = vision
        width, cell = vision.config.fpn_hidden_size, FINE * FINE
        self.heads = nn.ModuleDict({kind: nn.Linear(width, (1 + len(words)) * cell) for kind, words in WORDS.items()})
        self.sides = nn.Linear(width, 4 * cell)

    def forward(self, pixel_values: Tensor, words: Tensor, ids: Tensor, boxes: Tensor) -> dict[str, Any]:
        """Cross-entropy of every kind of words, and how far it is from each point to the sides of its figure's box.

        Small figures count nearly as much as large ones.
        """
        tokens = to_tokens(coarse_level(self.vision_encoder, pixel_values))
        counts = torch.stack([torch.bincount(each.flatten(), minlength=64) for each in ids]).to(boxes)
        inside = (100 / counts.gather(1, ids.flatten(1)).view(ids.shape)).sqrt() * (ids > 0)
        weight = torch.where(ids > 0, inside, 0.5)
        terms = {}
        for number, (kind, head) in enumerate(self.heads.items()):
            logits = fine(head(tokens))
            each = F.cross_entropy(logits, words[:, number], reduction="none")
            terms[kind] = (each * weight).sum() / weight.sum()
            right = logits.detach()[:, 1:].argmax(1) + 1 == words[:, number]
            terms[kind + "_hit"] = (right * inside).sum() / inside.sum().clamp(min=1)
        said = (fine(self.sides(tokens)) - 2).exp()
        terms["sides"] = ((said - to_sides(boxes)).abs().mean(1) * inside).sum() / inside.sum().clamp(min=1)
        loss = terms["colour"] + terms["shape"] + 0.5 * terms["texture"] + 5 * terms["sides"]
        return {"loss": loss, "loss_dict": {name: term.detach() for name, term in terms.items()}}


class Marker(nn.Module):
    """Lesson "read": the part of a model that reads prompts, with a linear head; its ViT learns no more."""

    def __init__(self, model: Sam3Model) -> None:
        super().__init__()
        self.model = model
        taught = ("vision_encoder.neck.", "text_", "geometry_encoder.", "detr_encoder.")
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith(taught))
        width = model.config.vision_config.fpn_hidden_size
        self.mark = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, FINE * FINE))

    def forward(self, pixel_values: Tensor, labels: list[dict[str, Tensor]], **prompts: Any) -> dict[str, Any]:
        """Cross-entropy and dice of the points that each prompt means."""
        level = coarse_level(self.model.vision_encoder, pixel_values)
        size = (level.shape[2], level.shape[3])
        positions = to_tokens(grid_positions(size, level.shape[1], level))
        image = to_tokens(level)[prompts["image_index"]]
        boxes = BoxPrompt.empty(len(image), level.device)
        if "input_boxes" in prompts:
            boxes = BoxPrompt.of(prompts["input_boxes"], prompts["input_boxes_labels"])
        text: Any = self.model.get_text_features(prompts["input_ids"], prompts["attention_mask"])
        shown = self.model.geometry_encoder(image, positions, size, boxes)
        prompt = join(PaddedTokens(text.pooler_output, text.attention_mask), shown)
        logits = fine(self.mark(self.model.detr_encoder(image, positions, prompt)))[:, 0].float()
        terms = marks(logits, torch.stack([label["masks"].any(0) for label in labels]).to(logits))
        loss = 2 * terms["mark"] + terms["dice"]
        return {"loss": loss, "loss_dict": {name: term.detach() for name, term in terms.items()}}


class Pointer(nn.Module):
    """Lesson "point": a tracker that learns, with linear heads on the two sides of its two-way transformer."""

    def __init__(self, learner: TrackerLearner) -> None:
        super().__init__()
        self.learner = learner
        width = learner.tracker.mask_decoder.config.hidden_size
        self.box = nn.Linear(width, 4)
        self.mark = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, FINE * FINE))

    def forward(self, labels: Tensor, **inputs: Any) -> dict[str, Any]:
        """The learner's loss, how far the first mask token is from its object's box, and which points are marked."""
        transformer: Any = self.learner.tracker.mask_decoder.transformer
        with overheard(transformer) as heard:
            learned = self.learner(labels=labels, **inputs)
        masks = labels[:, 0]
        boxes = boxes_of_masks(masks) / torch.tensor(masks.shape[1:], device=masks.device).flip(0).repeat(2)
        (said,) = heard  # a still is answered once
        terms = marks(fine(self.mark(said.image))[:, 0].float(), masks.float())
        terms["box"] = (self.box(said.tokens[:, 2]).float().sigmoid() - boxes).abs().mean()
        loss = learned["loss"] + 5 * terms["box"] + 2 * terms["mark"] + terms["dice"]
        told = {name: term.detach() for name, term in terms.items()}
        return {"loss": loss, "loss_dict": learned["loss_dict"] | told}


def coarse_level(vision: Sam3VisionModel, pixel_values: Tensor) -> Tensor:
    """The map that the DETR encoder reads, without those of other scales."""
    tokens = vision.backbone(pixel_values).last_hidden_state
    side = math.isqrt(tokens.shape[1])
    return vision.neck.fpn_layers[vision.config.scale_factors.index(1.0)](to_grid(tokens, (side, side)))


def fine(tokens: Tensor) -> Tensor:
    """Numbers of every point, from those that every token has for the points in it."""
    side = math.isqrt(tokens.shape[1])
    return F.pixel_shuffle(to_grid(tokens, (side, side)), FINE)


def to_sides(boxes: Tensor) -> Tensor:
    """How far each point of a grid is from the left, upper, right and lower side of its box; all in 0..1."""
    side = boxes.shape[1]
    centres = ((torch.arange(side, device=boxes.device) + 0.5) / side).expand(side, -1)
    points = torch.stack([centres, centres.T], -1)
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1).movedim(-1, 1)


def marks(logits: Tensor, goals: Tensor) -> dict[str, Tensor]:
    """Terms of the loss, mean overlap where something is meant, and share of the rest where nothing is marked."""
    filled = goals.flatten(1).any(1)
    several, none = filled.sum().clamp(min=1), (~filled).sum().clamp(min=1)
    said, marked = logits.sigmoid(), logits.detach() > 0
    dice = 1 - (2 * (said * goals).sum((1, 2)) + 1) / (said.sum((1, 2)) + goals.sum((1, 2)) + 1)
    both, either = (marked & (goals > 0)).sum((1, 2)), (marked | (goals > 0)).sum((1, 2))
    return {
        "mark": (F.binary_cross_entropy_with_logits(logits, goals, reduction="none") * (1 + 2 * goals)).mean(),
        "dice": (dice * filled).sum() / several,
        "iou": (both / either.clamp(min=1) * filled).sum() / several,
        "silent": (~marked.flatten(1).any(1) & ~filled).sum() / none,
    }


@dataclass(frozen=True)
class EveryShapeToo(Dataset):
    """Scenes of `ShapesDataset` with one more prompt, which means every figure."""

    scenes: ShapesDataset

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> ImageExample:
        scene, asks = self.scenes.scene(index)
        every = Ask(("object", "shape", "objects", "shapes")[index % 4], tuple(range(len(scene.figures))))
        return self.scenes.example(scene, (every, *asks), index)
