from fractions import Fraction

import pytest
from PIL import Image
from tests.support.videos import pixels, write_video

from sam3_hf.video_io.opening import open_video
from sam3_hf.video_io.pictures import Pictures
from sam3_hf.video_io.reel import LiveReel, Reel


@pytest.fixture
def video():
    return Pictures([Image.fromarray(each) for each in pixels()], Fraction(25))


def test_a_reel_gives_every_image_in_any_order(video):
    reel = Reel(video, first=4)
    for place in (0, 4, 5, 5, 11, 6, 2, 7):
        assert reel[place] is video.items[place]
    assert len(reel) == 12
    reel.close()


def test_frames_are_kept_until_they_are_taken(tmp_path):
    video = open_video(write_video(tmp_path / "a.mp4", pixels(), g="4"))
    reel = Reel(video)
    images = [reel[place] for place in range(8)]
    assert [reel.take(place).image is images[place] for place in range(3)] == [True] * 3
    assert sorted(reel._kept) == [3, 4, 5, 6, 7]
    assert reel.take(1).image.equal(images[1])
    assert reel.take(6).number == 6
    assert sorted(reel._kept) == [7]
    reel.close()


def test_a_live_reel_is_read_once_and_keeps_what_is_not_taken():
    reel = LiveReel(open_video(iter(list(pixels()))))
    images = iter(reel)
    shown = [next(images) for _ in range(4)]
    assert reel.take(2).image is shown[2]
    assert sorted(reel._kept) == [3]
    assert len(list(images)) == 8
    reel.close()
