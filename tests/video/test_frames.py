import pytest
import torch

from sam3_hf.video.frames import Frames


class Lazy:
    """A source that knows which of its frames were read."""

    def __init__(self, length: int) -> None:
        self.length, self.read = length, []

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> int:
        self.read.append(number)
        return number


def prepare(frame: int) -> tuple[torch.Tensor, tuple[int, int]]:
    return torch.full((3, 2, 2), float(frame)), (4, 6)


def value(frames: Frames, number: int) -> float:
    return float(frames.read(number)[0][0, 0, 0])


def test_frames_are_read_when_they_are_asked_for() -> None:
    source = Lazy(1000)
    frames = Frames(source, prepare)
    assert value(frames, 500) == 500
    assert source.read == [0, 500]
    assert (frames.length, frames.size, frames.can_go_back) == (1000, (4, 6), True)


def test_an_iterator_is_read_as_far_as_needed() -> None:
    coming = iter(range(10))
    frames = Frames(coming, prepare)
    assert (value(frames, 0), value(frames, 3), frames.length) == (0, 3, None)
    assert next(coming) == 4


def test_an_iterator_knows_its_length_at_its_end() -> None:
    frames = Frames(iter(range(3)), prepare)
    assert frames.has(2)
    assert not frames.has(3)
    assert frames.length == 3


def test_an_iterator_does_not_go_back() -> None:
    frames = Frames(iter(range(10)), prepare)
    frames.read(4)
    with pytest.raises(ValueError, match="Frame 2 has gone by: an iterator is read once, in order, and is at frame 4"):
        frames.read(2)


@pytest.mark.parametrize("number", [-1, 3])
def test_a_number_outside_of_the_video_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"There is no frame {number}; the video has 3 frames"):
        Frames([0, 1, 2], prepare).read(number)


@pytest.mark.parametrize("source", [[], iter(())])
def test_a_video_without_frames_is_refused(source: object) -> None:
    with pytest.raises(ValueError, match="There is no frame 0; the video has 0 frames"):
        Frames(source, prepare)


@pytest.mark.parametrize("source", ["film.mp4", 5])
def test_what_holds_no_frames_is_refused(source: object) -> None:
    with pytest.raises(ValueError, match="Open a file with"):
        Frames(source, prepare)


def test_frames_of_different_sizes_are_refused() -> None:
    frames = Frames([0, 1], lambda frame: (torch.zeros(3, 2, 2), (4, 6 + frame)))
    with pytest.raises(ValueError, match=r"frame 0 has \(4, 6\), frame 1 \(4, 7\)"):
        frames.read(1)
