from fractions import Fraction

import pytest
from tests.support.videos import pixels

from sam3_hf.video_io.pictures import Pictures
from sam3_hf.video_io.sources import Stream, VideoError, select


@pytest.fixture
def video():
    return Pictures(pixels(), Fraction(10))


def test_a_selection_keeps_numbers_and_times(video):
    chosen = select(video, 1, 11, 3)
    assert len(chosen) == 4
    assert [(frame.number, frame.time) for frame in chosen.frames()] == [
        (number, Fraction(number, 10)) for number in (1, 4, 7, 10)
    ]
    assert [frame.number for frame in chosen.frames(range(2, 4))] == [7, 10]
    assert (chosen[2] == pixels()[7]).all()


@pytest.mark.parametrize("order", [[0, 1, 2, 2, 3], [5, 2, 11, 0], [0, 9, 10]])
def test_frames_are_the_same_in_any_order(video, order):
    for place in order:
        assert (video[place] == pixels()[place]).all()
        assert video.read(place).number == place


def test_a_frame_that_is_not_there_is_an_index_error(video):
    with pytest.raises(IndexError, match="There is no frame 12; the video has 12 frames, counted from 0"):
        video[12]
    assert len(list(video)) == 12


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ((12, None, 1), "The video has 12 frames, counted from 0; start 12 is beyond them"),
        ((0, 13, 1), "end 13 is beyond them"),
        ((3, 3, 1), "No frame lies in start 3, end 3"),
        ((-1, None, 1), "start -1"),
        ((0, None, 0), "every 0"),
    ],
)
def test_frames_that_are_not_there_cannot_be_chosen(video, chosen, message):
    with pytest.raises(VideoError, match=message):
        select(video, *chosen)


def test_frames_of_a_stream_are_chosen_as_they_come(video):
    chosen = select(Stream(video.frames(), video.time_base), 2, 9, 3)
    assert [frame.number for frame in chosen] == [2, 5, 8]
