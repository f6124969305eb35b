import pytest
import torch
from tests.support import tracker_golden as recorded
from tests.support.tolerances import SAME_MODEL

from sam3_hf.tracker.prompt_encoder import PromptEncoder
from sam3_hf.tracker.prompts import Clicks

SIZE = (168, 168)


@pytest.fixture
def encoder() -> PromptEncoder:
    return recorded.shared_model().prompt_encoder


def encode(encoder: PromptEncoder, labels: list[int], points: torch.Tensor | None = None):
    points = torch.rand(1, len(labels), 2) * 168 if points is None else points
    with torch.no_grad():
        return encoder(Clicks(points, torch.tensor([labels], dtype=torch.long)), None, SIZE)


def test_one_more_token_closes_the_points(encoder: PromptEncoder) -> None:
    tokens = encode(encoder, [1, 0]).tokens
    assert tokens.valid.tolist() == [[True, True, True]]
    assert tokens.values[0, 2].equal(encoder.not_a_point_embed.weight[0])


def test_an_object_without_points_has_no_token(encoder: PromptEncoder) -> None:
    assert encode(encoder, []).tokens.valid.tolist() == [[False]]
    assert encode(encoder, [-10, -10]).tokens.valid.tolist() == [[False] * 3]


def test_a_point_that_is_none_is_a_token_all_the_same(encoder: PromptEncoder) -> None:
    tokens = encode(encoder, [-1, -10]).tokens
    assert tokens.valid.tolist() == [[True, False, True]]
    assert tokens.values[0, 0].equal(encoder.not_a_point_embed.weight[0])


def test_every_kind_of_point_has_its_own_embedding(encoder: PromptEncoder) -> None:
    tokens = encode(encoder, [0, 1, 2, 3], torch.full((1, 4, 2), 50.0)).tokens.values[0, :4]
    differences = tokens - tokens[0]
    expected = encoder.point_embed.weight - encoder.point_embed.weight[0]
    torch.testing.assert_close(differences, expected, **SAME_MODEL)


def test_without_a_mask_one_cell_stands_for_all(encoder: PromptEncoder) -> None:
    assert encode(encoder, [1]).grid.shape == (1, 32, 1, 1)


def test_a_mask_becomes_a_grid_four_times_smaller(encoder: PromptEncoder) -> None:
    with torch.no_grad():
        grid = encoder(Clicks.none(2, torch.device("cpu")), torch.randn(2, 1, 48, 48), SIZE).grid
    assert grid.shape == (2, 32, 12, 12)
