"""Which of a model's queries become detections."""

import pytest
import torch
from transformers.modeling_outputs import ModelOutput

from sam3_hf.evaluation.detecting import Candidates, scores_of


def outputs() -> ModelOutput:
    """Two prompts, of each of which queries 0 and 1 say the same object, and so do 2 and 3."""
    torch.manual_seed(0)
    corner = torch.tensor([[0.1, 0.1], [0.12, 0.1], [0.6, 0.5], [0.6, 0.52]])
    return ModelOutput(
        pred_logits=torch.tensor([[2.0, 1.0, -1.0, 0.0], [0.5, 0.6, 3.0, 2.5]]),
        presence_logits=torch.tensor([[2.0], [1.0]]),
        pred_boxes=torch.cat([corner, corner + 0.3], 1).expand(2, -1, -1),
        pred_masks=torch.randn(2, 4, 5, 5),
    )


def chosen(candidates: Candidates) -> list[tuple[int, int]]:
    """Row and query of each, found again by their masks."""
    masks = outputs().pred_masks
    queries = [
        (masks[row] == mask).all((1, 2)).nonzero().item()
        for row, mask in zip(candidates.rows, candidates.masks, strict=True)
    ]
    return list(zip(candidates.rows.tolist(), queries, strict=True))


@pytest.mark.parametrize("nms_threshold", [None, 1.0])
def test_all_that_are_sure_enough_are_kept(nms_threshold: float | None) -> None:
    assert chosen(Candidates.above(outputs(), 0.4, nms_threshold)) == [
        (0, 0),
        (0, 1),
        (0, 3),
        (1, 0),
        (1, 1),
        (1, 2),
        (1, 3),
    ]
    assert chosen(Candidates.best(outputs(), 3, nms_threshold)) == [(0, 0), (1, 2), (1, 3)]


def test_of_those_that_overlap_the_surest_is_kept() -> None:
    assert chosen(Candidates.above(outputs(), 0.4, 0.5)) == [(0, 0), (0, 3), (1, 1), (1, 2)]
    found = Candidates.best(outputs(), 3, 0.5)
    assert chosen(found) == [(0, 0), (1, 2), (1, 1)]
    assert found.scores.equal(scores_of(outputs())[found.rows, torch.tensor([0, 2, 1])])
