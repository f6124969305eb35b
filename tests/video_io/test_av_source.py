import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from tests.support.videos import damage, pixels, turn, write_video

from sam3_hf.video_io.opening import is_live, open_video
from sam3_hf.video_io.sources import VideoError, select

LONG = [number % 12 for number in range(30)]


def as_array(image):
    return image.permute(1, 2, 0).numpy()


def shows(image, number):
    """Whether an image that was compressed is this one of the recorded frames, and none of the others."""
    differences = np.abs(as_array(image).astype(int) - pixels().astype(int)).mean(axis=(1, 2, 3))
    return differences.argmin() == number and differences[number] < 12


@pytest.fixture
def clip(tmp_path):
    """Thirty frames with a key frame at every eighth."""
    return write_video(tmp_path / "clip.mp4", pixels()[LONG], g="8", sc_threshold="0", crf="10")


@pytest.mark.parametrize(
    ("name", "codec", "unit"),
    [
        ("a.mp4", "libx264", 1000),
        ("a.mkv", "libx264", 1000),
        ("a.avi", "mpeg4", 25),
        ("a.gif", "gif", 100),
        ("lossless.mkv", "ffv1", 1000),
    ],
)
def test_frames_of_a_file_have_numbers_times_and_any_order(tmp_path, name, codec, unit):
    path = write_video(tmp_path / name, pixels()[LONG], codec=codec, time_base=Fraction(1, unit))
    video = open_video(path)
    assert (len(video), video.size) == (30, (72, 96))
    frames = list(video.frames())
    assert [frame.number for frame in frames] == list(range(30))
    assert [frame.time for frame in frames] == [Fraction(number, 25) for number in range(30)]
    assert not any(frame.damaged for frame in frames)
    for number in (29, 0, 13, 14, 15, 3, 27):
        assert video[number].equal(frames[number].image)
    if codec not in ("gif", "mpeg4"):  # of 256 colours, of few bits
        assert all(shows(frame.image, LONG[frame.number]) for frame in frames)


def test_pixels_are_red_green_blue_between_0_and_255(tmp_path):
    video = open_video(write_video(tmp_path / "a.mkv", pixels()[:3], codec="ffv1"))
    assert all(np.array_equal(as_array(video[number]), pixels()[number]) for number in range(3))


def test_frames_of_variable_rate_keep_their_times(tmp_path):
    times = [Fraction(time, 1000) for time in (0, 40, 100, 200, 250, 700, 750, 1900)]
    for name in ("a.mp4", "a.mkv"):
        video = open_video(write_video(tmp_path / name, pixels()[:8], times))
        assert [frame.time for frame in video.frames()] == times


def test_a_selection_of_a_file_is_a_part_of_all_its_frames(clip):
    video = open_video(clip)
    chosen = select(video, 5, 29, 4)
    assert [frame.number for frame in chosen.frames()] == [5, 9, 13, 17, 21, 25]
    for place in (5, 2, 0):
        assert chosen[place].equal(video[chosen.numbers[place]])


def test_two_readers_do_not_disturb_each_other(clip):
    video = open_video(clip)
    one, other = video.frames(), video.frames(range(10, 30))
    for number in range(5):
        assert next(one).number == number
        assert next(other).number == 10 + number
        assert shows(video[29 - number], LONG[29 - number])


@pytest.mark.parametrize(
    ("how", "upright"),
    [
        ("clockwise", lambda frame: np.rot90(frame, -1)),
        ("upside down", lambda frame: np.rot90(frame, 2)),
        ("mirrored", lambda frame: frame[:, ::-1]),
    ],
)
def test_turned_and_mirrored_files_are_upright(tmp_path, how, upright):
    straight = as_array(open_video(write_video(tmp_path / "a.mp4", pixels()[:3]))[2])
    video = open_video(turn(tmp_path / "a.mp4", how))
    assert np.array_equal(as_array(video[2]), upright(straight))
    assert video.size == upright(straight).shape[:2]


def test_one_frame_is_a_video(tmp_path):
    video = open_video(write_video(tmp_path / "a.mp4", pixels()[:1]))
    assert [(frame.number, frame.time) for frame in video.frames()] == [(0, 0)]
    assert shows(video[0], 0)


class TestDamage:
    def test_damaged_frames_are_told_and_the_others_survive(self, clip):
        whole = [frame.image for frame in open_video(clip).frames()]
        lost = damage(clip, 15)
        frames = list(open_video(clip).frames())
        assert [frame.number for frame in frames] == list(range(30))
        assert [frame.number for frame in frames if frame.damaged] == [lost]
        assert frames[lost].image.equal(frames[lost - 1].image)
        behind = range(16, 30)  # the next key frame
        assert all(frames[number].image.equal(whole[number]) for number in (*range(8), *behind))

    def test_after_a_damaged_key_frame_all_is_well_from_the_next_one_on(self, clip):
        whole = [frame.image for frame in open_video(clip).frames()]
        damage(clip, 8)
        frames = list(open_video(clip).frames())
        lost = [frame.number for frame in frames if frame.damaged]
        # Frames that were decoded and waited for their turn may go with the key frame.
        assert 8 in lost
        assert set(lost) <= set(range(5, 16))
        assert all(frame.image.equal(whole[min(lost) - 1]) for frame in frames if frame.number == lost[0])
        assert all(frames[number].image.equal(whole[number]) for number in (*range(5), *range(16, 30)))

    @pytest.mark.parametrize("packet", [0, 8, 15, 29])
    def test_what_stands_in_is_the_same_however_it_is_read(self, clip, packet):
        damage(clip, packet)
        video = open_video(clip)
        frames = list(video.frames())
        assert any(frame.damaged for frame in frames)
        for number in (29, 14, 3, 9, 0):
            again = open_video(clip).read(number)
            assert again.image.equal(frames[number].image)
            assert again.damaged == frames[number].damaged
        every = list(select(video, 0, None, 7).frames())
        assert all(frame.image.equal(frames[frame.number].image) for frame in every)

    def test_a_file_that_was_cut_off_says_how_many_frames_are_missing(self, tmp_path):
        path = write_video(tmp_path / "a.mp4", pixels()[LONG], index_first=True, g="8")
        whole = [frame.image for frame in open_video(path).frames()]
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        video = open_video(path)
        assert 0 < video.missing < 25
        assert len(video) + video.missing == 30
        assert all(frame.image.equal(whole[frame.number]) for frame in video.frames() if frame.number < 5)

    def test_a_file_without_any_good_frame_is_refused(self, tmp_path):
        path = write_video(tmp_path / "a.mp4", pixels()[:1])
        damage(path, 0)
        with pytest.raises(VideoError, match=r"None of the 1 frames of .* can be decoded"):
            open_video(path)


class TestRefusals:
    def test_what_is_no_video_is_refused(self, tmp_path):
        (tmp_path / "a.mp4").write_text("words " * 100)
        with pytest.raises(VideoError, match=r"a\.mp4 cannot be opened as a video: Invalid data"):
            open_video(tmp_path / "a.mp4")
        with pytest.raises(VideoError, match=r"b\.mp4 does not exist"):
            open_video(tmp_path / "b.mp4")

    def test_a_picture_is_no_video(self, tmp_path):
        Image.fromarray(pixels()[0]).save(tmp_path / "a.png")
        with pytest.raises(VideoError, match="is a picture, not a video"):
            open_video(tmp_path / "a.png")

    def test_a_file_has_times_of_its_own(self, clip):
        with pytest.raises(VideoError, match="has times of its own"):
            open_video(clip, frames_per_second=10)

    def test_without_pyav_the_extra_is_named(self, clip, monkeypatch):
        monkeypatch.setitem(sys.modules, "av", None)
        with pytest.raises(ImportError, match=r"needs av .*pip install 'sam3-hf\[video\]'"):
            open_video(clip)

    def test_a_webcam_that_is_not_there_is_named(self):
        with pytest.raises(VideoError, match="Webcam 97 cannot be opened"):
            open_video(97)


def test_what_is_read_once_is_told_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_live("0")
    assert is_live("rtsp://camera/stream")
    assert not is_live("film.mp4")
    (tmp_path / "0").mkdir()
    assert not is_live("0")


def test_a_stream_comes_once_in_order_with_damaged_frames_told(clip):
    whole = [frame.image for frame in open_video(clip).frames()]
    stream = open_video(f"file://{clip}")
    frames = list(stream)
    assert [frame.number for frame in frames] == list(range(30))
    assert all(frame.image.equal(image) for frame, image in zip(frames, whole, strict=True))
    assert frames[7].time == Fraction(7, 25)
    damage(clip, 15)
    assert sum(frame.damaged for frame in open_video(f"file://{clip}")) == 1
