from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support.videos import pixels

from sam3_hf.video_io.opening import open_video
from sam3_hf.video_io.sources import VideoError


@pytest.fixture
def folder(tmp_path):
    """Eleven pictures whose names are not padded with zeros."""
    for number in range(11):
        Image.fromarray(pixels()[number]).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_pictures_of_a_folder_are_ordered_by_number(folder):
    video = open_video(folder, frames_per_second=5)
    assert len(video) == 11
    assert video.size == (72, 96)
    for number, frame in enumerate(video.frames()):
        assert frame.time == Fraction(number, 5)
        assert np.array_equal(frame.image.permute(1, 2, 0), pixels()[number])


def test_jpeg_pictures_turned_by_a_camera_are_upright(tmp_path):
    picture = Image.fromarray(pixels()[0])
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "1.jpg", exif=exif)
    assert open_video(tmp_path).size == (96, 72)


def test_a_damaged_picture_is_told_and_the_one_before_stands_in(folder):
    for number in (0, 4, 5):
        (folder / f"frame{number}.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    frames = list(open_video(folder).frames())
    assert [frame.number for frame in frames if frame.damaged] == [0, 4, 5]
    shown = [1, 1, 2, 3, 3, 3, 6, 7, 8, 9, 10]
    for frame, number in zip(frames, shown, strict=True):
        assert np.array_equal(frame.image.permute(1, 2, 0), pixels()[number])


def test_a_folder_without_any_good_picture_is_refused(tmp_path):
    with pytest.raises(VideoError, match="folder without pictures"):
        open_video(tmp_path)
    (tmp_path / "1.png").write_bytes(b"nothing")
    with pytest.raises(VideoError, match="None of the 1 pictures can be read"):
        open_video(tmp_path)


@pytest.mark.parametrize(
    "images",
    [
        lambda: [Image.fromarray(each) for each in pixels()],
        pixels,
        lambda: torch.from_numpy(pixels()).permute(0, 3, 1, 2),
        lambda: list(pixels()),
    ],
    ids=["PIL", "array", "tensor", "arrays"],
)
def test_lists_and_arrays_of_images_are_videos(images):
    video = open_video(images())
    assert len(video) == 12
    assert video.size == (72, 96)
    assert [frame.time for frame in video.frames(range(2))] == [0, Fraction(1, 24)]


def test_a_generator_is_read_one_image_at_a_time():
    made = []

    def make():
        for number in range(100):
            made.append(number)
            yield pixels()[number % 12]

    frames = iter(open_video(make(), frames_per_second=50))
    assert made == []
    assert next(frames).number == 0
    assert next(frames).time == Fraction(1, 50)
    assert made == [0, 1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "at least one frame"),
        (["text", "text"], "None of the 2 pictures"),
        (3.5, "got float"),
        ([{}], "An image is"),
    ],
)
def test_what_holds_no_images_is_refused(source, message):
    with pytest.raises(VideoError, match=message):
        open_video(source)


def test_a_rate_that_is_not_positive_is_refused():
    with pytest.raises(VideoError, match="must be positive"):
        open_video(pixels(), frames_per_second=-1)
