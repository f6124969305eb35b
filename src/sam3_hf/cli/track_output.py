"""Results of `track` on their way to the disk: lines in one thread, drawing and encoding in another.

frames and what was found, in order -> lines -> overlay, which first draws what earlier runs found
"""

from contextlib import ExitStack
from types import TracebackType

from sam3_hf.cli.followers import Found
from sam3_hf.cli.track_folder import TrackFolder
from sam3_hf.inputs.images import read_image
from sam3_hf.video_io.json_lines import FrameResult, JsonLines, read_json_lines
from sam3_hf.video_io.overlay_video import OverlayVideo
from sam3_hf.video_io.pipeline import Behind
from sam3_hf.video_io.sources import Frame, Selection, Stream


class TrackOutput:
    """Takes every frame once, in order; frames that have a line already are not taken again.

    Args:
        folder: Where results go.
        video: The frames that are gone through.
        overlay: Whether they are drawn.

    Attributes:
        taken: How many frames have a line, or are about to have one.
        size: Height and width of the frames, once there is one.
        damaged: Numbers of frames that could not be decoded.
    """

    def __init__(self, folder: TrackFolder, video: Selection | Stream, overlay: bool) -> None:
        self._folder, self._video = folder, video
        self._stack = ExitStack()
        self._lines = self._stack.enter_context(JsonLines(folder.lines))
        self.taken = self._lines.count
        self.size = video.size if isinstance(video, Selection) else None
        self._drawn = self._stack.enter_context(Drawing(folder, video, self.taken)) if overlay else None
        self._behind = self._stack.enter_context(Behind(self._write))

    def __enter__(self) -> "TrackOutput":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def put(self, frame: Frame, found: Found) -> None:
        """Hand a frame over."""
        if self.size is None:
            height, width = read_image(frame.image, None, True).shape[1:]
            self.size = (height, width)
        self.taken += 1
        self._behind.put((frame, found))

    def drain(self) -> None:
        """Wait until every frame has its line."""
        self._behind.drain()

    def _write(self, item: tuple[Frame, Found]) -> None:
        frame, found = item
        result = FrameResult(frame.number, float(frame.time), found.objects(), frame.damaged)
        self._lines.write(result)
        if self._drawn is not None:
            self._drawn.put(frame, result)


class Drawing:
    """The overlay video: drawn in a thread, put in its place when it is whole.

    Args:
        folder: Where it goes.
        video: The frames that are gone through.
        earlier: How many of them have lines of an earlier run; these are drawn first.
    """

    def __init__(self, folder: TrackFolder, video: Selection | Stream, earlier: int) -> None:
        self._folder, self._video, self._earlier = folder, video, earlier
        self._overlay: OverlayVideo | None = None
        self._behind = Behind(self._draw)

    def __enter__(self) -> "Drawing":
        self._behind.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        whole = False
        try:
            self._behind.__exit__(kind, error, trace)
            if error is None and self._overlay is None:
                self._draw_earlier()
            whole = error is None
        finally:
            if self._overlay is not None:
                self._overlay.close(whole)

    def put(self, frame: Frame, result: FrameResult) -> None:
        """Hand a frame over."""
        self._behind.put((frame, result))

    def _draw(self, item: tuple[Frame, FrameResult]) -> None:
        if self._overlay is None:
            self._draw_earlier()
        self._add(*item)

    def _draw_earlier(self) -> None:
        """Frames that an earlier run has found everything on."""
        if isinstance(self._video, Selection) and self._earlier:
            frames = self._video.frames(range(self._earlier))
            for frame, result in zip(frames, read_json_lines(self._folder.lines), strict=False):
                self._add(frame, result)

    def _add(self, frame: Frame, result: FrameResult) -> None:
        if self._overlay is None:
            height, width = read_image(frame.image, None, True).shape[1:]
            self._overlay = OverlayVideo(self._folder.overlay, (height, width), self._video.time_base)
        self._overlay.write(frame, result)
