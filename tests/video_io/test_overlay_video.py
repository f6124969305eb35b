from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from tests.support.videos import pixels, write_video

from sam3_hf.ops.masks import encode_rle
from sam3_hf.results import CodedInstance
from sam3_hf.video_io.json_lines import FrameResult, TrackedObject
from sam3_hf.video_io.opening import open_video
from sam3_hf.video_io.overlay_video import OverlayVideo, draw_tracked
from sam3_hf.video_io.sources import Frame
from sam3_hf.visualization.colours import colour_of

TIMES = [Fraction(time, 1000) for time in (0, 40, 100, 200, 250, 700)]


def seen(number, left, size=(72, 96)):
    mask = torch.zeros(size, dtype=torch.bool)
    mask[20:50, left : left + 30] = True
    return TrackedObject(number, "thing", CodedInstance(0.9, (left, 20, left + 30, 50), encode_rle(mask)))


def test_an_overlay_has_the_times_size_and_codec_it_should(tmp_path):
    video = open_video(write_video(tmp_path / "a.mp4", pixels()[:6], TIMES))
    overlay = OverlayVideo(tmp_path / "overlay.mp4", video.size, video.time_base)
    for frame in video.frames():
        overlay.write(frame, FrameResult(frame.number, float(frame.time), [seen(0, 10)]))
    assert not (tmp_path / "overlay.mp4").exists()
    overlay.close()
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    drawn = open_video(tmp_path / "overlay.mp4")
    assert drawn.size == (72, 96)
    assert [frame.time for frame in drawn.frames()] == TIMES
    before, after = (each[3].permute(1, 2, 0).numpy().astype(int) for each in (video, drawn))
    assert np.abs(before - after)[25:45, 15:35].mean() > 5 * np.abs(before - after)[55:, 60:].mean()


def test_odd_sizes_become_even(tmp_path):
    overlay = OverlayVideo(tmp_path / "overlay.mp4", (71, 95), Fraction(1, 24))
    overlay.write(Frame(0, Fraction(0), pixels()[0][:71, :95]), FrameResult(0, 0.0, [seen(1, 5, (71, 95))]))
    overlay.close()
    video = open_video(tmp_path / "overlay.mp4")
    assert (len(video), video.size) == (1, (72, 96))


def test_an_overlay_that_is_not_whole_leaves_nothing(tmp_path):
    overlay = OverlayVideo(tmp_path / "overlay.mp4", (72, 96), Fraction(1, 24))
    overlay.write(Frame(0, Fraction(0), pixels()[0]), FrameResult(0, 0.0, []))
    overlay.close(whole=False)
    assert list(tmp_path.iterdir()) == []


def test_the_colour_of_an_object_depends_on_its_id_alone():
    grey = np.full((72, 96, 3), 128, np.uint8)
    colours = []
    for objects in ([seen(4, 5)], [seen(1, 60), seen(4, 5)], [seen(4, 40)]):
        picture = np.asarray(draw_tracked(Frame(0, Fraction(0), grey), FrameResult(0, 0.0, objects)))
        left = int(objects[-1].instance.box_xyxy_px[0])
        colours.append(picture[35, left + 15].tolist())
    assert colours[0] == colours[1] == colours[2]
    towards = np.array(colour_of(4)) - 128
    assert np.dot(np.array(colours[0]) - 128, towards) > 0.3 * np.dot(towards, towards)


@pytest.mark.parametrize("step", [Fraction(0), Fraction(1, 10_000_000)])
def test_times_that_do_not_grow_are_moved_on(tmp_path, step):
    overlay = OverlayVideo(tmp_path / "overlay.mp4", (72, 96), Fraction(1, 10_000_000))
    for number in range(3):
        overlay.write(Frame(number, number * step, pixels()[number]), FrameResult(number, 0.0, []))
    overlay.close()
    assert len(open_video(tmp_path / "overlay.mp4")) == 3
