import pytest
import torch
from tests.support.video_heuristics import array

from sam3_hf.video.cleaning import cleaned


@pytest.mark.parametrize("area", [0, 4, 16, 60])
@pytest.mark.parametrize("side", ["even", "odd"])
def test_holes_and_pieces_are_those_of_the_original(side: str, area: int) -> None:
    logits = array(f"function.fill_holes.{side}.input")[:, 0]
    assert cleaned(logits, area).equal(array(f"function.fill_holes.{side}.area{area}.output")[:, 0])


def test_nothing_to_clean() -> None:
    assert cleaned(torch.zeros(0, 4, 4), 16).shape == (0, 4, 4)
