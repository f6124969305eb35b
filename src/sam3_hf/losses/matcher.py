"""Matching: which query answers for which object.

queries' logits [L, P, Q] and boxes [L, P, Q, 4], objects [T, 4] -> per layer, pairs (row, query, target)
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sam3_hf.configuration_sam3_loss import Sam3LossConfig
from sam3_hf.extras import needed
from sam3_hf.losses.overlap import overlap
from sam3_hf.losses.predictions import Predictions, QuerySet
from sam3_hf.losses.targets import Targets
from sam3_hf.ops.boxes import to_xyxy


class Matches(NamedTuple):
    """Pairs: a query of a row, and the object it answers for (counted through all rows)."""

    row: Int[Tensor, " M"]
    query: Int[Tensor, " M"]
    target: Int[Tensor, " M"]

    @classmethod
    def join(cls, parts: "list[Matches]", like: Tensor) -> "Matches":
        """All pairs, on the device of `like`."""
        if not parts:
            return cls(*(torch.zeros(3, 0, dtype=torch.long, device=like.device)))
        return cls(*(torch.cat(part).to(like.device) for part in zip(*parts, strict=True)))

    def where(self, kept: Bool[Tensor, " M"]) -> "Matches":
        """Some of the pairs."""
        return Matches(self.row[kept], self.query[kept], self.target[kept])


class Chosen(NamedTuple):
    """Queries of each row that have a pair, filled up with others to the same number, and the pairs among them."""

    queries: Int[Tensor, "P K"]
    matches: Matches

    @classmethod
    def of(cls, matches: Matches, rows: int, queries: int) -> "Chosen":
        """Only the queries that a pair speaks of."""
        used = torch.zeros(rows, queries, dtype=torch.bool, device=matches.row.device)
        used[matches.row, matches.query] = True
        first = used.byte().argsort(dim=1, descending=True, stable=True)[:, : int(used.sum(1).max())]
        place = used.cumsum(1) - 1
        return cls(first, matches._replace(query=place[matches.row, matches.query]))


class Matching(NamedTuple):
    """Pairs of every layer (none of the second set where it does not exist), and queries of it that need a mask."""

    one_to_one: list[Matches]
    one_to_many: list[Matches]
    spare: Chosen


def match(predictions: Predictions, targets: Targets, config: Sam3LossConfig) -> Matching:
    """Pairs of both sets of queries."""
    first, second = predictions.one_to_one, predictions.one_to_many
    pairs = match_one_to_one(first, targets, config)
    _, rows, queries = second.logits.shape
    if queries == 0:
        return Matching(pairs, [], Chosen.of(Matches.join([], second.logits), rows, queries))
    by_many = slice(0 if config.o2m_matcher_on_aux else -1, None)
    by_one = second.layers(slice(0, 0 if config.o2m_matcher_on_aux else -1))
    spare = match_one_to_one(by_one, targets, config) + match_one_to_many(second.layers(by_many), targets, config)
    return Matching(pairs, spare, Chosen.of(spare[-1], rows, queries))


def with_spare(queries: Float[Tensor, "P S C"], first: int, spare: Chosen) -> Float[Tensor, "P _ C"]:
    """The first set of queries, and those of the second that were chosen."""
    one, other = queries.tensor_split([first], dim=1)
    return torch.cat([one, other.take_along_dim(spare.queries.unsqueeze(-1), dim=1)], dim=1)


@torch.no_grad()
def match_one_to_one(queries: QuerySet, targets: Targets, config: Sam3LossConfig) -> list[Matches]:
    """Per layer, the pairs that cost least in sum, each object and each query at most once (DETR).

    Raises:
        ValueError: The model's answers are not finite.
    """
    rows = [row for row, count in enumerate(targets.counts) if count]
    boxes = targets.boxes_of_rows()
    costs = [_cost(queries.logits[:, row], queries.boxes_cxcywh[:, row], boxes[row], config) for row in rows]
    # All layers and rows travel from the device at once.
    flat = torch.cat([cost.flatten() for cost in costs]).cpu() if costs else torch.zeros(0)
    if not flat.isfinite().all():
        raise ValueError("The model's logits or boxes are not finite: lower the learning rate or clip the gradient.")
    solved: list[list[Matches]] = [[] for _ in queries.logits]
    for row, block in zip(rows, flat.split([cost.numel() for cost in costs]), strict=True):
        first = sum(targets.counts[:row])
        for layer, cost in enumerate(block.view(len(solved), targets.counts[row], queries.logits.shape[2])):
            target, query = _assign(cost)
            solved[layer].append(Matches(torch.full_like(query, row), query, target + first))
    return [Matches.join(parts, queries.logits) for parts in solved]


@torch.no_grad()
def match_one_to_many(queries: QuerySet, targets: Targets, config: Sam3LossConfig) -> list[Matches]:
    """Per layer, for each object the queries that fit it best, by overlap and score."""
    score = queries.logits.sigmoid()
    solved: list[list[Matches]] = [[] for _ in queries.logits]
    for row, boxes in enumerate(targets.boxes_of_rows()):
        if not len(boxes):
            continue
        iou = overlap(to_xyxy(queries.boxes_cxcywh[:, row]).unsqueeze(2), to_xyxy(boxes)).iou
        fit = config.o2m_alpha * score[:, row, :, None] + (1 - config.o2m_alpha) * iou  # [L, Q, n]
        best = fit > fit.quantile(max(1 - config.o2m_topk / fit.shape[1], 0.0), dim=1, keepdim=True)
        first = sum(targets.counts[:row])
        for layer, chosen in enumerate(best & (fit > config.o2m_threshold)):
            query, target = chosen.nonzero(as_tuple=True)
            solved[layer].append(Matches(torch.full_like(query, row), query, target + first))
    return [Matches.join(parts, queries.logits) for parts in solved]


def _cost(
    logits: Float[Tensor, "L Q"],
    boxes_cxcywh: Float[Tensor, "L Q 4"],
    goals_cxcywh: Float[Tensor, "n 4"],
    config: Sam3LossConfig,
) -> Float[Tensor, "L n Q"]:
    """What it costs that a query answers for an object: distance, focal class cost, lack of overlap."""
    boxes, goals = boxes_cxcywh.unsqueeze(1), goals_cxcywh.unsqueeze(1)
    distance = (boxes - goals).abs().sum(-1)
    chance, alpha, gamma = logits.sigmoid(), config.matcher_alpha, config.matcher_gamma
    says_yes = alpha * (1 - chance) ** gamma * -F.logsigmoid(logits)
    says_no = (1 - alpha) * chance**gamma * -F.logsigmoid(-logits)
    giou = overlap(to_xyxy(boxes), to_xyxy(goals)).giou
    return (
        config.matcher_bbox_cost * distance
        + config.matcher_class_cost * (says_yes - says_no).unsqueeze(1)
        - config.matcher_giou_cost * giou
    )


def _assign(cost: Float[Tensor, "n Q"]) -> tuple[Int[Tensor, " M"], Int[Tensor, " M"]]:
    """Objects in order, and the query of each."""
    target, query = needed("scipy.optimize", "train").linear_sum_assignment(cost.numpy())
    return torch.from_numpy(target), torch.from_numpy(query)
