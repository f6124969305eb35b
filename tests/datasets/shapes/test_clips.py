"""Clips of shapes: the same everywhere, true, and eventful."""

import hashlib
import pickle
from functools import cache

import numpy as np
import pytest

from sam3_hf.datasets.examples import ClipExample
from sam3_hf.datasets.shapes.clips import ShapesClips
from sam3_hf.datasets.shapes.film import Film
from sam3_hf.datasets.shapes.scene import LEAST_VISIBLE

CLIPS = ShapesClips(seed=3, length=20, frames=12, image_side=128)
# Truth and phrases of the first clips, as every machine must draw them.
RECORDED = "c19bd1f9abc7b3597c9d759306e06c1d"


@cache
def clips() -> tuple[ClipExample, ...]:
    return tuple(CLIPS[i] for i in range(len(CLIPS)))


@cache
def films() -> tuple[Film, ...]:
    return tuple(CLIPS.film(i) for i in range(len(CLIPS)))


def test_clips_are_as_recorded() -> None:
    digest = hashlib.sha256()
    for clip in clips()[:6]:
        digest.update(np.packbits(clip.masks).tobytes())
        digest.update(repr([(prompt.text, prompt.object_ids.tolist()) for prompt in clip.prompts]).encode())
    assert digest.hexdigest()[:32] == RECORDED


def test_frames_drawn_one_by_one_are_those_of_the_clip() -> None:
    clip, film = clips()[4], pickle.loads(pickle.dumps(CLIPS)).film(4)
    for number in (7, 2):
        shot = film.shot(number)
        assert shot.pixels.tobytes() == clip.frames[number].tobytes()
        assert np.array_equal(shot.ids == 1, clip.masks[number, 0])


def test_all_parts_of_a_clip_fit_each_other() -> None:
    for clip in clips():
        frames, objects, height, width = clip.masks.shape
        assert (frames, objects) == (len(clip.frames), len(clip.object_ids)) == clip.visible.shape
        assert {frame.size for frame in clip.frames} == {(width, height)}
        assert np.array_equal(clip.masks.any(axis=(2, 3)), clip.visible > 0)
        assert clip.masks.sum(axis=1).max(initial=0) <= 1


def test_a_number_stays_with_its_object() -> None:
    """Wherever all of an object is seen, its mask lies where its track says."""
    for clip, film in zip(clips(), films(), strict=True):
        for number, track in zip(clip.object_ids, film.tracks, strict=True):
            for frame in np.flatnonzero(clip.visible[:, number - 1] > 0.99):
                y, x = (float(axis.mean()) for axis in np.nonzero(clip.masks[frame, number - 1]))
                figure, centre = track.at(frame / (len(clip.frames) - 1))
                assert np.hypot(x - centre[0], y - centre[1]) < 0.5 * figure.radius + 1


def test_every_object_can_be_recognized_at_some_time() -> None:
    assert all((clip.visible.max(axis=0) > LEAST_VISIBLE).all() for clip in clips())


def test_objects_leave_the_picture_and_return() -> None:
    assert any(
        any(went_and_came(clip.visible[:, i]) and is_outside(track, film) for i, track in enumerate(film.tracks))
        for clip, film in zip(clips(), films(), strict=True)
    )


def test_objects_hide_behind_others_and_come_out() -> None:
    hidden = [
        clip.visible[:, i].min() == 0
        for clip, film in zip(clips(), films(), strict=True)
        for i, track in enumerate(film.tracks)
        if not is_outside(track, film)
    ]
    assert sum(hidden) >= 3


def test_bars_hide_what_is_behind_them() -> None:
    with_bars = [film for film in films() if film.bars]
    assert with_bars
    for film in with_bars:
        shot, bare = film.shot(6), film._replace(bars=()).shot(6)
        assert not any(shot.ids[bar.window].any() for bar in film.bars)
        assert (shot.visible <= bare.visible).all()
    covered = [film for film in with_bars if any(film.shot(n).visible.sum() < 0.9 * bare_sum(film, n) for n in (3, 6))]
    assert covered


def test_objects_cross_each_other() -> None:
    assert any(
        one.start == other.end and one.end == other.start and one.start != one.end
        for film in films()
        for one, other in zip(film.tracks, film.tracks[1:], strict=False)
    )


def test_sizes_change() -> None:
    growing = [track for film in films() for track in film.tracks if track.growth]
    assert growing
    radii = [growing[0].at(time)[0].radius for time in (0.0, 0.25, 0.5, 0.75)]
    assert max(radii) > 1.1 * min(radii)


def test_phrases_mean_the_objects_they_describe_and_name_no_size() -> None:
    prompts = [(clip, film, prompt) for clip, film in zip(clips(), films(), strict=True) for prompt in clip.prompts]
    for clip, film, prompt in prompts:
        assert set(prompt.object_ids) <= set(clip.object_ids)
        for number in prompt.object_ids:
            figure = film.tracks[number - 1].figure
            assert any(
                word in prompt.text.replace("gray", "grey") for word in (figure.colour, figure.shape, "object", "shape")
            )
    assert 0.3 < np.mean([len(prompt.object_ids) > 0 for *_, prompt in prompts]) < 0.7
    assert not any("small" in p.text or "large" in p.text for *_, p in prompts if len(p.object_ids))


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 frames; got 1"):
        ShapesClips(0, 1, frames=1)
    with pytest.raises(ValueError, match="seed -1"):
        ShapesClips(-1, 1)
    with pytest.raises(IndexError, match="No clip 20 among 20"):
        CLIPS[20]


def went_and_came(visible: np.ndarray) -> bool:
    seen = np.flatnonzero(visible > 0)
    return bool((visible[seen[0] : seen[-1]] == 0).any())


def is_outside(track: object, film: Film) -> bool:
    """Whether all of the figure is beyond an edge of the picture at some time."""
    places = [track.at(time) for time in np.linspace(0, 1, film.length).tolist()]
    height, width = film.size
    return any(
        min(x, y) < -figure.radius or x > width + figure.radius or y > height + figure.radius
        for figure, (x, y) in places
    )


def bare_sum(film: Film, number: int) -> float:
    return float(film._replace(bars=()).shot(number).visible.sum())
