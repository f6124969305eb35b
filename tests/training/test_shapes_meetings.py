"""Stretches of clips in which objects hide and come back, which the embedded model's tracker learns from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam3_hf.datasets.shapes.clips import ShapesClips


@pytest.fixture
def meetings(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    import shapes_meetings

    return shapes_meetings


def test_objects_that_come_back_are_worth_most(meetings: Any) -> None:
    visible = np.asarray([[1, 0.1, 1], [1, 0.1, 0.2], [1, 0.9, 1], [0.1, 1, 0.1]]).T
    assert meetings.worth(visible).tolist() == [1.0, 0.4, 0.1, 0.0]


def test_stretches_are_drawn_where_something_happens(meetings: Any) -> None:
    visible = np.ones((16, 3))
    visible[9] = 0
    chance = np.random.default_rng(0)
    drawn = [meetings.any_stretch(visible, 4, chance).frames for _ in range(100)]
    assert sum(9 in frames[1:-1] for frames in drawn) > 80
    assert {abs(int(frames[1] - frames[0])) for frames in drawn} == {1, 2}
    assert {int(np.sign(frames[1] - frames[0])) for frames in drawn} == {1, -1}


def test_a_stretch_is_what_the_clip_shows(meetings: Any) -> None:
    clips = ShapesClips(5, 20, frames=12)
    dataset = meetings.Meetings(clips, frames=5, objects=2)
    for number in range(3):
        stretch, again, whole = dataset[number], dataset[number], clips[number]
        assert stretch.masks.shape[:2] == (5, len(stretch.object_ids))
        assert 1 <= len(stretch.object_ids) <= 2
        assert np.array_equal(stretch.masks, again.masks)
        pictures = [np.asarray(frame) for frame in whole.frames]
        places = [
            next(n for n, other in enumerate(pictures) if np.array_equal(other, frame)) for frame in stretch.frames
        ]
        assert np.array_equal(stretch.masks, whole.masks[places][:, stretch.object_ids - 1])
        assert np.array_equal(stretch.visible, whole.visible[places][:, stretch.object_ids - 1])
