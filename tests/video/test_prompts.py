import pytest
import torch

from sam3_hf.video import prompts
from sam3_hf.video.prompts import ObjectPrompt


def points(*values: float) -> ObjectPrompt:
    return ObjectPrompt(torch.tensor([[value, value] for value in values]), torch.ones(len(values), dtype=torch.long))


def test_later_points_follow_earlier_ones() -> None:
    assert points(3.0).after(points(1.0, 2.0)).points[:, 0].tolist() == [1, 2, 3]


def test_first_points_follow_nothing() -> None:
    assert points(3.0).after(None).points[:, 0].tolist() == [3]


def test_of_too_many_points_the_first_and_the_last_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(prompts.logger, "warning", lambda message, *values: said.append(message % values))
    kept = points(*map(float, range(20))).kept()
    assert kept.points[:, 0].tolist() == [*range(8), *range(12, 20)]
    assert len(kept.labels) == 16
    assert said == ["Of 20 points on an object, the first and the last 8 are used."]


def test_sixteen_points_are_all_used() -> None:
    assert len(points(*map(float, range(16))).kept().points) == 16
