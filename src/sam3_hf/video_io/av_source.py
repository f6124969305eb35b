"""Video files, webcams and network streams, decoded by PyAV (the extra `video`).

file -> packets' time stamps, read without decoding -> number, time of every frame -> frames, from the key frame before
webcam, URL -> frames as they come
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from sam3_hf.extras import needed
from sam3_hf.video_io.display import Turn
from sam3_hf.video_io.sources import Frame, Recording, Stream, VideoError

_PICTURE_FORMATS = ("_pipe", "image2")


class _Packet(NamedTuple):
    """What a file says about a packet."""

    stamp: int | None
    is_key: bool
    is_shown: bool

    @classmethod
    def of(cls, packet: Any) -> "_Packet":
        return cls(packet.pts, packet.is_keyframe, not packet.is_discard)


class VideoFile(Recording):
    """A video file. Its frames are known from the time stamps of its packets, of which none is decoded for that.

    Args:
        path: MP4, MKV, WebM, MOV, AVI, GIF or whatever else FFmpeg reads.

    Attributes:
        missing: Frames that the file says it has and that are not in it: it was cut off.

    Raises:
        VideoError: Not a video, or one without time stamps, or without any frame that can be decoded.
        ImportError: PyAV is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path, self._av = str(path), needed("av", "video")
        self._read_index()
        self._shape: tuple[int, int] | None = None
        first = next(self.frames(range(1))).image
        self.size = (first.shape[1], first.shape[2])

    def __len__(self) -> int:
        return len(self._stamps)

    def frames(self, places: range | None = None) -> Iterator[Frame]:
        """See `Recording.frames`."""
        places = range(len(self)) if places is None else places
        for number, picture, damaged in self._pictures(places.start) if places else ():
            if number in places:
                yield Frame(number, self._time(number), self._image(picture), damaged)
            if number >= places[-1]:
                return

    def _read_index(self) -> None:
        with _opened(self._av, self.path) as container:
            stream = _video_stream(container, self.path)
            self.time_base: Fraction = stream.time_base
            # Only what is said about the packets is kept, not what is in them.
            packets = [_Packet.of(packet) for packet in container.demux(stream) if packet.size]
            promised = stream.frames
        shown = [packet for packet in packets if packet.is_shown]
        keys = {packet.stamp for packet in shown if packet.is_key}
        stamps = {packet.stamp for packet in shown}
        if not shown or None in stamps:
            problem = "carries no time stamps; put it into a container first (ffmpeg -i IN -c copy OUT.mkv)"
            raise VideoError(f"{self.path} {problem if shown else 'holds no frame'}.")
        self._stamps: list[int] = sorted(stamp for stamp in stamps if stamp is not None)
        self._number = {stamp: number for number, stamp in enumerate(self._stamps)}
        self._keys = [number for number, stamp in enumerate(self._stamps) if number == 0 or stamp in keys]
        self.missing = max(promised - len(packets), 0)

    def _time(self, number: int) -> Fraction:
        return (self._stamps[number] - self._stamps[0]) * self.time_base

    def _pictures(self, start: int) -> Iterator[tuple[int, Any, bool]]:
        """Every frame from one on: itself, or the one that stands in for it, and whether that is so."""
        expected, good = start, None
        for number, picture in chain(self._decoded(start), [(len(self), None)]):
            for lost in range(expected, number):
                good = good or self._before(lost)
                yield lost, good, True
            if expected <= number < len(self):
                yield number, picture, False
            good, expected = picture or good, max(expected, number + 1)

    def _before(self, lost: int) -> Any:
        """The last whole frame before one, looked for further and further back; or else the first there is."""
        for key in reversed(self._keys[: bisect_right(self._keys, lost)]):
            earlier = deque(takewhile(lambda found: found[0] < lost, self._decoded(key)), maxlen=1)
            if earlier:
                return earlier[0][1]
        for _, picture in self._decoded(0):
            return picture
        raise VideoError(f"None of the {len(self)} frames of {self.path} can be decoded.")

    def _decoded(self, start: int) -> Iterator[tuple[int, Any]]:
        """Whole frames, from the key frame on that comes before `start` or is it."""
        key = self._keys[bisect_right(self._keys, start) - 1]
        with _opened(self._av, self.path) as container:
            stream = _video_stream(container, self.path)
            packets = self._packets(container, stream, key)
            if packets is not None:
                yield from self._decode(packets)
                return
        # Some formats cannot be entered in the middle.
        with _opened(self._av, self.path) as container:
            yield from self._decode(container.demux(_video_stream(container, self.path)))

    def _packets(self, container: Any, stream: Any, key: int) -> Iterator[Any] | None:
        """Packets from a key frame on; `None` if the file cannot be entered there."""
        if not key:
            return container.demux(stream)
        try:
            container.seek(self._stamps[key], stream=stream)
            packets = container.demux(stream)
            first = next(packets)
        except (self._av.error.FFmpegError, StopIteration):
            return None
        if self._number.get(first.pts, len(self)) > key:
            return None
        return _with_first(first, packets)

    def _decode(self, packets: Iterator[Any]) -> Iterator[tuple[int, Any]]:
        for packet in packets:
            try:
                pictures = packet.decode()
            except self._av.error.FFmpegError:
                continue  # what is lost shows by its number
            for picture in pictures:
                if picture.pts in self._number and not picture.is_corrupt:
                    yield self._number[picture.pts], picture

    def _image(self, picture: Any) -> UInt8[Tensor, "3 H W"]:
        self._shape = self._shape or (picture.width, picture.height)
        return _upright(picture, self._shape)


class _Live:
    """Frames as they come, numbered in that order.

    Those that are damaged are replaced by the one before; those that come before any good one are left out.
    """

    def __init__(self, av: Any, container: Any, stream: Any) -> None:
        self._av, self._container, self._stream = av, container, stream
        self._start: Fraction | None = None
        self._shape: tuple[int, int] | None = None

    def frames(self) -> Iterator[Frame]:
        """All of them, until the stream ends."""
        number, latest = 0, None
        with self._container:
            for picture in self._decode():
                damaged = picture is None or picture.is_corrupt
                latest = latest if damaged else self._frame(number, picture)
                if latest is not None:
                    yield latest._replace(number=number, damaged=damaged)
                    number += 1

    def _decode(self) -> Iterator[Any]:
        """Pictures; `None` for what cannot be decoded."""
        for packet in self._container.demux(self._stream):
            try:
                yield from packet.decode()
            except self._av.error.FFmpegError:
                yield None

    def _frame(self, number: int, picture: Any) -> Frame:
        self._shape = self._shape or (picture.width, picture.height)
        if picture.pts is None:
            return Frame(number, number / (self._stream.average_rate or Fraction(25)), _upright(picture, self._shape))
        time = picture.pts * self._stream.time_base
        self._start = time if self._start is None else self._start
        return Frame(number, time - self._start, _upright(picture, self._shape))


def live_video(source: str, format_name: str | None = None, name: str | None = None) -> Stream:
    """A webcam or a network stream.

    Raises:
        VideoError: It cannot be opened.
        ImportError: PyAV is not installed.
    """
    av = needed("av", "video")
    container = _opened(av, source, format_name, name)
    stream = _video_stream(container, name or source)
    return Stream(_Live(av, container, stream).frames(), stream.time_base)


def _opened(av: Any, source: str, format_name: str | None = None, name: str | None = None) -> Any:
    try:
        return av.open(source, format=format_name, metadata_errors="ignore")
    except (OSError, ValueError, av.error.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"{name or source} cannot be opened as a video: {reason}.") from error


def _video_stream(container: Any, name: str) -> Any:
    """The film itself: sound files may hold a picture of their cover."""
    if container.format.name.endswith(_PICTURE_FORMATS):
        raise VideoError(f"{name} is a picture, not a video; pass the folder that it is in, or use `segment`.")
    covers = type(container.streams.video[0].disposition).attached_pic if container.streams.video else 0
    films = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not films:
        raise VideoError(f"{name} holds no video.")
    return films[0]


def _with_first(first: Any, packets: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from packets


def _upright(picture: Any, shape: tuple[int, int]) -> UInt8[Tensor, "3 H W"]:
    """RGB at the size of the first frame, turned as the file says it is to be shown."""
    pixels = picture.to_ndarray(format="rgb24", width=shape[0], height=shape[1])
    turned = np.ascontiguousarray(Turn.of(picture).apply(pixels))
    return torch.from_numpy(turned).permute(2, 0, 1)
