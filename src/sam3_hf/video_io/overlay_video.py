"""Overlay as a video: every frame with its objects, each object in one colour throughout.

Frame, FrameResult -> picture with masks, boxes, labels -> H.264 in MP4, at the frame's own time
"""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam3_hf.extras import needed
from sam3_hf.inputs.images import read_image
from sam3_hf.video_io.json_lines import FrameResult, TrackedObject
from sam3_hf.video_io.sources import Frame, VideoError
from sam3_hf.visualization.colours import colour_of
from sam3_hf.visualization.labels import shorten
from sam3_hf.visualization.overlay import Mark, as_picture, draw_marks

# Nearly without loss for the eye, at a usual speed.
_OPTIONS = {"crf": "18", "preset": "veryfast"}
_CODEC, _PIXELS = "libx264", "yuv420p"
# Players count time in whole numbers of a fraction of a second; finer ones than this overflow in long videos.
_FINEST = 1_000_000


class OverlayVideo:
    """A video that is being written, beside its place until it is whole.

    Odd sizes grow by one row or column, for H.264 knows none.

    Args:
        path: An MP4 file; one that is there is replaced in the end.
        size: Height and width of the frames.
        time_base: All times are multiples of it.

    Raises:
        VideoError: This PyAV cannot write H.264.
        ImportError: PyAV is not installed.
    """

    def __init__(self, path: Path, size: tuple[int, int], time_base: Fraction) -> None:
        self._av = needed("av", "video")
        check_can_write(self._av)
        self.path, self.size = path, size
        self._partial = path.with_name(f".{path.name}.partial")
        self._time_base = time_base if time_base.denominator <= _FINEST else Fraction(1, 90_000)
        self._container = self._av.open(str(self._partial), "w", format="mp4")
        self._stream: Any = self._container.add_stream(_CODEC, rate=25, options=_OPTIONS)
        self._stream.height, self._stream.width = (side + side % 2 for side in size)
        self._stream.pix_fmt = _PIXELS
        self._stream.codec_context.time_base = self._time_base
        self._latest = -1

    def close(self, whole: bool = True) -> None:
        """Put the video in its place; or drop it, where it is not whole."""
        try:
            if whole:
                self._container.mux(self._stream.encode())
            self._container.close()
            if whole:
                os.replace(self._partial, self.path)
        finally:
            self._partial.unlink(missing_ok=True)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Add a frame. Times that do not grow are moved behind the one before."""
        picture = np.asarray(draw_tracked(frame, result))
        even = np.pad(picture, [(0, side % 2) for side in self.size] + [(0, 0)], mode="edge")
        coded = self._av.VideoFrame.from_ndarray(even, format="rgb24")
        self._latest = max(round(frame.time / self._time_base), self._latest + 1)
        coded.pts, coded.time_base = self._latest, self._time_base
        self._container.mux(self._stream.encode(coded))


def check_can_write(av: Any) -> None:
    """Whether there is an encoder.

    Raises:
        VideoError: There is none.
    """
    try:
        av.codec.Codec(_CODEC, "w")
    except (ValueError, av.error.FFmpegError) as error:
        raise VideoError(f"The installed PyAV has no encoder {_CODEC}; leave out the overlay.") from error


def draw_tracked(frame: Frame, result: FrameResult) -> Image.Image:
    """A frame with its objects; the colour of an object depends on its id alone."""
    picture = as_picture(read_image(frame.image, None, True))
    return draw_marks(picture, [Mark(each.instance, _label(each), colour_of(each.id)) for each in result.objects])


def _label(each: TrackedObject) -> str:
    return f"{each.id} {shorten(each.text)}" if each.text else str(each.id)
