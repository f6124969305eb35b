"""One door for every kind of video.

path, webcam number, URL, folder, list, array, tensor, generator -> Recording or Stream
"""

import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

from sam3_hf.video_io.av_source import VideoFile, live_video
from sam3_hf.video_io.pictures import Pictures, arriving, folder_of_pictures
from sam3_hf.video_io.sources import Recording, Stream, VideoError

# Where webcams are found, and what FFmpeg calls such places.
_WEBCAMS = {"linux": ("/dev/video{}", "v4l2"), "darwin": ("{}", "avfoundation"), "win32": ("video={}", "dshow")}


def open_video(source: Any, frames_per_second: int | float | Fraction | None = None) -> Recording | Stream:
    """A video, of which one frame at a time is read and decoded.

    Recordings go where a list of frames goes: `processor.init_video_session(video=open_video("film.mp4"))`.

    Args:
        source: A video file; a folder of pictures; a list, array or tensor of images; an iterator over images; the
            number of a webcam; or a URL.
        frames_per_second: Of pictures, which have no times of their own; 24 if not given.

    Raises:
        VideoError: Not a video, or it cannot be read.
        ImportError: PyAV is needed and not installed.
    """
    rate = Fraction(frames_per_second or 24).limit_denominator(1001)
    if rate <= 0:
        raise VideoError(f"frames_per_second must be positive; got {frames_per_second}.")
    if isinstance(source, (str, int, Path)):
        video = _named(str(source), rate)
    elif hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        video = Pictures(source, rate)
    elif isinstance(source, Iterable):
        video = arriving(source, rate)
    else:
        raise VideoError(
            f"A video is a file, a folder, a URL, the number of a webcam, or images; got {type(source).__name__}."
        )
    if frames_per_second is not None and isinstance(video, VideoFile):
        raise VideoError("A video file has times of its own; leave out the frames per second.")
    return video


def is_live(source: str) -> bool:
    """Whether this names a webcam or a URL, of which nothing can be read twice."""
    return "://" in source or (source.isdigit() and not Path(source).exists())


def _named(source: str, rate: Fraction) -> Recording | Stream:
    if is_live(source):
        return live_video(source) if "://" in source else _webcam(source)
    path = Path(source)
    if not path.exists():
        raise VideoError(f"{source} does not exist.")
    return folder_of_pictures(path, rate) if path.is_dir() else VideoFile(path)


def _webcam(number: str) -> Stream:
    if sys.platform not in _WEBCAMS:
        raise VideoError(f"Webcams cannot be opened on {sys.platform}.")
    place, format_name = _WEBCAMS[sys.platform]
    return live_video(place.format(number), format_name, f"Webcam {number}")
