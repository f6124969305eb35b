"""Simulated prompts; coordinates are pixels of an input of side 64, masks have other sizes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from sam3_hf.tracker.prompts import Clicks
from sam3_hf.training.clicks import (
    box_prompt,
    centre_click,
    largest_wrong_region,
    random_click,
    wrong_region,
)

SIDE = 64


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def masks(seed: int, share: float, rows: int = 3, size: tuple[int, int] = (12, 16)) -> Tensor:
    return torch.rand(rows, *size, generator=seeded(seed)) < share


def clicked(clicks: Clicks, regions: Tensor) -> list[bool]:
    """Whether each click lies in its region."""
    height, width = regions.shape[1:]
    x, y = ((clicks.points[:, 0] + 0.5) * torch.tensor([width, height]) / SIDE).long().unbind(-1)
    return regions[torch.arange(len(regions)), y, x].tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.02, 0.5, 1.0]), st.sampled_from([0.0, 0.02, 0.5, 1.0]))
def test_a_correction_lies_where_the_answer_is_wrong_and_says_what_is_there(seed: int, right: float, said: float):
    truth, found = masks(seed, right), masks(seed + 1, said)
    wrong = truth ^ found
    for click in (
        random_click(wrong_region(truth, found), truth, SIDE, seeded(seed)),
        centre_click(largest_wrong_region(truth, found), truth, SIDE),
    ):
        fine = ~wrong.flatten(1).any(1)
        assert all(hit or ok for hit, ok in zip(clicked(click, wrong), fine.tolist(), strict=True))
        assert click.labels[:, 0].tolist() == [int(there) for there in clicked(click, truth)]


def test_where_nothing_is_wrong_the_object_is_clicked_again() -> None:
    truth = masks(0, 0.1)
    for region in (wrong_region(truth, truth), largest_wrong_region(truth, truth)):
        assert region.equal(truth)


def test_where_nothing_is_wrong_and_nothing_there_any_place_is_background() -> None:
    nothing = torch.zeros(2, 8, 8, dtype=torch.bool)
    click = random_click(wrong_region(nothing, nothing), nothing, SIDE, seeded())
    assert click.labels.tolist() == [[0], [0]]


def test_the_largest_piece_is_found_among_what_is_missing_and_what_is_too_much() -> None:
    truth, found = torch.zeros(2, 10, 10, dtype=torch.bool), torch.zeros(2, 10, 10, dtype=torch.bool)
    truth[:, :2, :2] = True  # missing: 4 pixels
    found[0, 5:8, 5:8] = True  # too much: 9
    found[1, 9, 9] = True  # too much: 1
    largest = largest_wrong_region(truth, found)
    assert largest[0].equal(found[0])
    assert largest[1].equal(truth[1])
    assert centre_click(largest, truth, SIDE).labels.tolist() == [[0], [1]]


def test_what_is_missing_and_what_is_too_much_are_two_pieces_though_they_touch() -> None:
    truth, found = torch.zeros(1, 6, 6, dtype=torch.bool), torch.zeros(1, 6, 6, dtype=torch.bool)
    truth[0, :, :2], found[0, :, 2:5] = True, True
    assert largest_wrong_region(truth, found).equal(found)


def test_the_centre_is_where_a_region_is_thickest() -> None:
    region = torch.zeros(1, 16, 16, dtype=torch.bool)
    region[0, 3:8, 3:8], region[0, 5, 8:16] = True, True  # a square with a tail
    click = centre_click(region, region, SIDE)
    assert click.points[0, 0].tolist() == [5.5 * 4 - 0.5] * 2


def test_the_edge_of_the_image_is_an_outline() -> None:
    whole = torch.ones(1, 5, 9, dtype=torch.bool)
    assert centre_click(whole, whole, SIDE).points[0, 0].tolist() == [31.5, 31.5]


def test_every_pixel_is_as_likely() -> None:
    region = torch.zeros(1, 4, 4, dtype=torch.bool)
    region[0, 1, 1:4] = True
    chance = seeded()
    places = [random_click(region, region, SIDE, chance).points[0, 0, 0].item() for _ in range(300)]
    counts = [places.count(x) for x in (23.5, 39.5, 55.5)]
    assert sum(counts) == 300
    assert min(counts) > 70


def test_a_box_is_tight_and_strays_a_little() -> None:
    truth = torch.zeros(200, 16, 32, dtype=torch.bool)
    truth[:, 4:8, 8:24] = True
    tight = box_prompt(truth, SIDE)
    assert tight.points[0].tolist() == [[16, 16], [48, 32]]
    assert tight.labels[0].tolist() == [2, 3]
    away = (box_prompt(truth, SIDE, seeded()).points - tight.points).abs()
    assert away.max() <= 0.02 * SIDE
    assert away.mean() > 0.005 * SIDE


def test_boxes_stay_inside_the_image() -> None:
    whole = torch.ones(50, 8, 8, dtype=torch.bool)
    points = box_prompt(whole, SIDE, seeded()).points
    assert points.min() >= 0
    assert points.max() <= SIDE


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seed_gives_the_same_clicks(seed: int) -> None:
    truth = masks(3, 0.3)
    once, again = (random_click(truth, truth, SIDE, seeded(seed)).points for _ in range(2))
    assert once.equal(again)
