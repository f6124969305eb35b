"""Later lessons of the embedded model's tracker: to know an object again by its looks, wherever it went.

recognize: clips -> coarse level of the neck -> mean over each object -> its looks, unlike those of the others
grown:     memories become wider; what is new in them says how a cell looks, and attention compares it
recall:    memories of what is there, some of them wrong, + a frame -> memory attention -> where is each object?

The ViT learned words. Where two objects had met, the tracker went on with the wrong one as often as not: in the maps
that it reads, nothing large told them apart. The linear heads are thrown away, or become a part of attention.
"""

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from shapes_lessons import FINE, fine, marks
from torch import Tensor, nn
from torch.nn import functional as F

from sam3_hf import Sam3TrackerVideoModel
from sam3_hf.losses.tracking import tracking_loss
from sam3_hf.ops.tokens import to_grid, to_tokens
from sam3_hf.tracker.mask_decoder import ImageLevels
from sam3_hf.training.initialization import initialize_tracker
from sam3_hf.training.rehearsal import Rehearsal, overheard
from sam3_hf.training.tracking import TrackerLearner
from sam3_hf.video.memory_selection import Visit, recall
from sam3_hf.video.state import FrameMemory, MemoryBank

_LOOKS, _WIDER = 32, 64
# How much a change of the neck's maps costs, as a share of their variance; how sharply looks are compared.
_KEPT, _SHARP = 0.1, 12.0
# What equal looks add to the product of a query and a key, of which attention takes an eighth.
_SAME = 12.0
# Shares of the steps of "recall" that are stills, and that are about memory attention alone.
_STILLS, _RECALLED = 0.33, 0.12
# Share of objects some of whose memories are those of another one.
_WRONG = 0.35
# Logits of a mask that is there, and of one that is not.
_SURE, _NOTHING = 8.0, -1024.0


class Recognizer(nn.Module):
    """Lesson "recognize": the coarse level of the neck learns, and a linear head that reads looks from it."""

    def __init__(self, learner: TrackerLearner) -> None:
        super().__init__()
        self.tracker = learner.tracker.requires_grad_(False)
        self.before = copy.deepcopy(self.level)
        self.level.requires_grad_(True)
        self.looks = nn.Linear(self.tracker.config.vision_config.fpn_hidden_size, _LOOKS)

    @property
    def level(self) -> Any:
        """The part of the neck that makes the map of the ViT's own size."""
        vision: Any = self.tracker.vision_encoder
        return vision.neck.fpn_layers[vision.config.scale_factors.index(1.0)]

    def forward(self, pixel_values: Tensor, image_index: Tensor, labels: Tensor, **_: Any) -> dict[str, Any]:
        """How alike objects of a clip look, and how far the maps are from what they were."""
        vision: Any = self.tracker.vision_encoder
        with torch.no_grad():
            tokens = vision.backbone(pixel_values.flatten(0, 1)).last_hidden_state
            side = math.isqrt(tokens.shape[1])
            grid = to_grid(tokens, (side, side))
            old = self.before(grid)
        maps = self.level(grid)
        kept = (maps - old).square().mean() / old.var()
        shares = covered(labels, maps.shape[-1])
        of_objects = maps.unflatten(0, pixel_values.shape[:2])[image_index]
        means = (shares.unsqueeze(2) * of_objects).sum((3, 4)) / shares.sum((2, 3)).clamp(min=1e-3).unsqueeze(2)
        known, hit = told_apart(self.read(means), image_index, shares.sum((2, 3)) > 0.5)
        return {"loss": known + _KEPT * kept, "loss_dict": {"known": known.detach(), "kept": kept.detach(), "hit": hit}}

    def read(self, features: Float[Tensor, "*B C"]) -> Float[Tensor, "*B D"]:
        """The looks in these features, of length 1."""
        return F.normalize(self.looks(features).float(), dim=-1)


def told_apart(
    looks: Float[Tensor, "R T D"], image_index: Int[Tensor, "R"], visible: Bool[Tensor, "R T"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Cross-entropy of which object of its clip looks on another frame as each one does, and how often it is right."""
    alike = _SHARP * torch.einsum("rtd,qud->rtuq", looks, looks)
    rivals = (image_index[:, None] == image_index).unsqueeze(1) & visible.T
    logits = alike.masked_fill(~rivals.unsqueeze(1), -1e4)
    truth = torch.arange(len(looks), device=looks.device)[:, None, None].expand(logits.shape[:3])
    counted = visible[:, :, None] & visible[:, None] & ~torch.eye(looks.shape[1], dtype=torch.bool, device=looks.device)
    missed = F.cross_entropy(logits.movedim(-1, 1), truth, reduction="none")
    count = counted.sum().clamp(min=1)
    return (missed * counted).sum() / count, ((logits.argmax(-1) == truth) & counted).sum() / count


class Recaller(nn.Module):
    """The last lessons: rehearsals; between them stills, and frames on which a head marks what memory recalls."""

    def __init__(self, learner: TrackerLearner) -> None:
        super().__init__()
        self.learner = learner
        self.corrected = replace(learner.plan, steps=learner.plan.steps + 1)
        width = learner.tracker.no_object_pointer.shape[1]
        self.mark = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, FINE * FINE))

    @property
    def tracker(self) -> Sam3TrackerVideoModel:
        """What learns, and is measured."""
        return self.learner.tracker

    def forward(self, pixel_values: Tensor, image_index: Tensor, labels: Tensor, seed: int = 0) -> dict[str, Any]:
        """The learner's loss; or how well objects are marked, and that none claims the cells of another."""
        chance = torch.Generator().manual_seed(seed)
        kind = float(torch.rand((), generator=chance))
        if kind < _STILLS:
            pictures, rows, masks = as_stills(pixel_values, image_index, labels)
            answers = Rehearsal(self.tracker, self.corrected, masks, chance).run(self.learner.look(pictures, rows))
            loss = tracking_loss(answers, self.learner.weights)
            return {"loss": loss.total, "loss_dict": {f"still_{name}": term for name, term in loss.terms.items()}}
        if kind >= _STILLS + _RECALLED:
            return self.learner(pixel_values, image_index, labels, seed)
        # An object has to be seen on the first frame; the others come in any order.
        order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(labels.shape[1] - 1, generator=chance)])
        frames = self.learner.look(pixel_values[:, order], image_index)
        terms = [
            self._judged(seen, truth, image_index)
            for seen, truth in self._recalled(frames, labels[:, order], image_index, chance)
        ]
        mean = {name: torch.stack([term[name] for term in terms]).mean() for name in terms[0]}
        loss = 3 * mean["mark"] + mean["dice"] + mean["apart"]
        return {"loss": loss, "loss_dict": {f"recall_{name}": term.detach() for name, term in mean.items()}}

    def _recalled(
        self, frames: list[ImageLevels], labels: Bool[Tensor, "R T H W"], image_index: Tensor, chance: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Every frame but the first, as memories of those before it let each object see it, and what is there."""
        tracker, rows = self.learner.tracker, len(labels)
        another, wrong_from = others(image_index, chance), torch.randint(1, len(frames), (rows,), generator=chance)
        wrong_from[torch.rand(rows, generator=chance) >= _WRONG] = len(frames)
        bank = MemoryBank(rows, limits=None)
        for number, image in enumerate(frames):
            truth = labels[:, number]
            if number:
                good = dict.fromkeys(bank.tracked, 1.0)
                recalled = recall(bank, Visit(number), tracker.config, good)._replace(pointing=[], distances=[])
                yield tracker.remind(image.patches, [recalled]), truth
            is_wrong = (wrong_from <= number).to(truth.device)[:, None, None]
            memory = remember(tracker, image, torch.where(is_wrong, labels[another, number], truth))
            bank.remember(number, memory, conditioning=number == 0)

    def _judged(
        self, seen: Float[Tensor, "R C H W"], truth: Bool[Tensor, "R H W"], image_index: Int[Tensor, "R"]
    ) -> dict[str, Tensor]:
        logits = fine(self.mark(to_tokens(seen)))[:, 0].float()
        goals = covered(truth.unsqueeze(1), logits.shape[-1])[:, 0]
        terms = marks(logits, goals)
        return {"mark": terms["mark"], "dice": terms["dice"], "apart": claimed(logits, goals, image_index)}


def as_stills(
    pixel_values: Float[Tensor, "B T 3 S S"], image_index: Int[Tensor, "R"], labels: Bool[Tensor, "R T H W"]
) -> tuple[Float[Tensor, "K 1 3 S S"], Int[Tensor, "r"], Bool[Tensor, "r 1 H W"]]:
    """The first and the last frame of every clip, each with the objects that are seen on it."""
    pictures, masks = pixel_values[:, [0, -1]], labels[:, [0, -1]]
    rows, end = masks.flatten(2).any(2).nonzero(as_tuple=True)
    return pictures.flatten(0, 1).unsqueeze(1), 2 * image_index[rows] + end, masks[rows, end].unsqueeze(1)


def claimed(
    logits: Float[Tensor, "R h w"], goals: Float[Tensor, "R h w"], image_index: Int[Tensor, "R"]
) -> Float[Tensor, ""]:
    """Cross-entropy of whose each cell is that belongs to an object of a clip; small objects count nearly as much."""
    missed = []
    for clip in image_index.unique():
        said, there = logits[image_index == clip], goals[image_index == clip]
        is_owned = there.amax(0) > 0.5
        if len(said) > 1 and is_owned.any():
            owner = there[:, is_owned].argmax(0)
            weight = 1 / there[:, is_owned].sum(1)[owner].clamp(min=1).sqrt()
            each = F.cross_entropy(said[:, is_owned].T, owner, reduction="none")
            missed.append((each * weight).sum() / weight.sum())
    return torch.stack(missed).mean() if missed else logits.sum() * 0


def covered(labels: Bool[Tensor, "R T H W"], side: int) -> Float[Tensor, "R T h w"]:
    """Share of each cell that an object covers."""
    return F.interpolate(labels.float(), (side, side), mode="area")


def others(image_index: Int[Tensor, "R"], chance: torch.Generator) -> Int[Tensor, "R"]:
    """For each object another one of its clip; itself where it is alone."""
    another = torch.arange(len(image_index))
    for clip in image_index.unique().tolist():
        rows = (image_index.cpu() == clip).nonzero()[:, 0]
        if len(rows) > 1:
            another[rows] = rows.roll(int(torch.randint(1, len(rows), (), generator=chance)))
    return another


def remember(tracker: Sam3TrackerVideoModel, image: ImageLevels, shown: Bool[Tensor, "R H W"]) -> FrameMemory:
    """The memory of a frame on which each object was where it is shown, without pointers."""
    there = shown.flatten(1).any(1)
    logits = torch.where(shown, _SURE, torch.where(there, -_SURE, _NOTHING)[:, None, None]).unsqueeze(1)
    presence = torch.where(there, _SURE, -_SURE).unsqueeze(1)
    none = tracker.no_object_pointer.new_zeros(len(shown), tracker.no_object_pointer.shape[1])
    return FrameMemory(
        pointers=none,
        object_score_logits=presence,
        features=tracker.memorize(image, logits, presence),
        masks=None,
        presence=(1.0,) * len(shown),
        ious=(1.0,) * len(shown),
    )


def kept_channels(narrow: int) -> Int[Tensor, "m"]:
    """Where the channels of a narrow memory lie in a wide one: at the wavelengths that their positions had."""
    first = torch.arange(0, narrow // 2, 2) * (_WIDER // narrow)
    axis = torch.stack([first, first + 1], 1).flatten()
    return torch.cat([axis, axis + _WIDER // 2])


@torch.no_grad()
def grown(tracker: Sam3TrackerVideoModel) -> Sam3TrackerVideoModel:
    """The same tracker with wider memories, of which what is new is read by nothing yet.

    Only pointers are read differently: they were cut into pieces as wide as a memory, and now are one piece.
    """
    config = copy.deepcopy(tracker.config)
    narrow, config.memory_encoder_output_channels = config.memory_encoder_output_channels, _WIDER
    wide = Sam3TrackerVideoModel(config)
    initialize_tracker(wide)
    places, old = kept_channels(narrow), tracker.state_dict()
    for name, values in wide.state_dict().items():
        was = old[name]
        changed = [axis for axis in range(was.ndim) if values.shape[axis] != was.shape[axis]]
        if not changed:
            values.copy_(was)
            continue
        if name.endswith(("k_proj.weight", "v_proj.weight")):
            values.zero_()
        elif name == "memory_encoder.projection.weight":
            values.mul_(was.std() / values.std())
        values.index_copy_(changed[0], places, was)
    return wide


class Cells:
    """What was read at cells that belong to objects, and the looks of these cells, which are to be made of it."""

    def __init__(self) -> None:
        self.features: list[Tensor] = []
        self.looks: list[Tensor] = []

    def add(self, features: Float[Tensor, "*B C"], looks: Float[Tensor, "*B D"], where: Bool[Tensor, "*B"]) -> None:
        """Some of these cells."""
        self.features.append(features[where])
        self.looks.append(looks.expand(*where.shape, -1)[where])

    def fitted(self) -> tuple[Float[Tensor, "D C"], Float[Tensor, " D"]]:
        """Weight and bias that make looks of features, by least squares with a ridge."""
        features, looks = torch.cat(self.features).double(), torch.cat(self.looks).double()
        x = torch.cat([features, torch.ones_like(features[:, :1])], 1)
        square = x.T @ x / len(x)
        ridge = 1e-3 * square.diagonal().mean() * torch.eye(len(square), dtype=x.dtype)
        solution = torch.linalg.solve(square + ridge, x.T @ looks / len(x)).float()
        return solution[:-1].T, solution[-1]


@torch.no_grad()
def graft(tracker: Sam3TrackerVideoModel, narrow: int, read: Any, batches: Iterable[dict[str, Any]]) -> None:
    """Memory says how cells look, and the first layer of memory attention compares that, wherever cells are.

    Args:
        tracker: A grown tracker; it is changed in place.
        narrow: Channels that its memory had before; the others are free.
        read: Makes looks of the neck's maps.
        batches: Of `TrackingCollator`, two frames of each clip.
    """
    learner, batches = TrackerLearner(tracker), list(batches)
    attention: Any = tracker.memory_attention.layers[0].cross_attn_image
    free = torch.tensor([n for n in range(_WIDER) if n not in kept_channels(narrow).tolist()])[:_LOOKS]
    remembered = Cells()
    for batch in batches:
        for image, truth in frames_of(learner, batch):
            with overheard(tracker.memory_encoder.memory_fuser) as heard:
                remember(tracker, image, truth)
            cells = torch.cat(heard).movedim(1, -1)
            remembered.add(cells, read(image.patches.movedim(1, -1)), on_object(truth, cells.shape[1]))
    weight, bias = remembered.fitted()
    # As wide as a position.
    width = torch.cat(remembered.looks).std()
    tracker.memory_encoder.projection.weight[free, :, 0, 0] = weight / width
    tracker.memory_encoder.projection.bias[free] = bias / width  # pyright: ignore[reportOptionalSubscript]
    queries, keys = Cells(), Cells()
    for batch in batches:
        (before, shown), (image, truth) = frames_of(learner, batch)
        bank = MemoryBank(len(truth), limits=None)
        bank.remember(0, remember(tracker, before, shown), conditioning=True)
        asked: list[Any] = []
        hook = attention.register_forward_hook(lambda _, given, __, asked=asked: asked.append(given))
        tracker.remind(image.patches, [recall(bank, Visit(1), tracker.config)._replace(pointing=[], distances=[])])
        hook.remove()
        side = image.patches.shape[-1]
        for cells, part, kind, where in ((queries, image, 0, truth), (keys, before, 1, shown)):
            features = torch.cat([given[kind] for given in asked])
            cells.add(features, read(to_tokens(part.patches)), on_object(where, side).flatten(1))
    # Both halves of the channels, of columns and of rows, turn the slower the later they come.
    slow = torch.arange(_WIDER).unflatten(0, (2, -1))[:, _WIDER // 4 :].flatten()
    for layer, cells in ((attention.q_proj, queries), (attention.k_proj, keys)):
        weight, bias = cells.fitted()
        layer.weight[slow] += _SAME**0.5 * weight
        layer.bias[slow] += _SAME**0.5 * bias


def frames_of(learner: TrackerLearner, batch: dict[str, Any]) -> list[tuple[ImageLevels, Tensor]]:
    """Every frame of a batch and what is there, a row per object."""
    frames = learner.look(batch["pixel_values"], batch["image_index"])
    return list(zip(frames, batch["labels"].unbind(1), strict=True))


def on_object(truth: Bool[Tensor, "R H W"], side: int) -> Bool[Tensor, "R h w"]:
    """Cells of which an object covers a good part."""
    return covered(truth.unsqueeze(1), side)[:, 0] > 0.3
