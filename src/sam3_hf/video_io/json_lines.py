"""Results of a video as JSON lines: one line per frame, each safe on the disk before the next is made.

FrameResult -> line -> file, appended and synced; file -> whole lines -> FrameResult
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from sam3_hf.results import CodedInstance
from sam3_hf.video_io.sources import VideoError

_SCORE_DIGITS, _TIME_DIGITS, _PIXEL_DIGITS = 6, 6, 3


class TrackedObject(NamedTuple):
    """An object on one frame: its number, which stays, what it was found by, and where it is."""

    id: int
    text: str | None
    instance: CodedInstance


class FrameResult(NamedTuple):
    """What is seen on a frame: its number in the video, seconds, objects by id; whether the frame was damaged."""

    frame: int
    time: float
    objects: list[TrackedObject]
    damaged: bool = False

    def to_line(self) -> str:
        """As a line of a file holds it; masks in COCO's compressed run-length code."""
        values: dict[str, Any] = {"frame": self.frame, "time": round(self.time, _TIME_DIGITS)}
        values |= {"damaged": True} if self.damaged else {}
        values["objects"] = [
            {
                "id": each.id,
                "text": each.text,
                "score": round(each.instance.score, _SCORE_DIGITS),
                "box": [round(edge, _PIXEL_DIGITS) for edge in each.instance.box_xyxy_px],
                "area": each.instance.area,
                "mask": each.instance.code,
            }
            for each in self.objects
        ]
        return json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"

    @classmethod
    def of_line(cls, line: str | bytes) -> "FrameResult":
        """What `to_line` wrote.

        Raises:
            ValueError, KeyError, TypeError: It is not such a line.
        """
        values = json.loads(line)
        objects = [
            TrackedObject(each["id"], each["text"], CodedInstance(each["score"], tuple(each["box"]), each["mask"]))
            for each in values["objects"]
        ]
        return cls(values["frame"], values["time"], objects, values.get("damaged", False))


def read_json_lines(path: str | Path) -> Iterator[FrameResult]:
    """The results in a file, one at a time; a last line that an interruption tore is left out.

    Raises:
        VideoError: A line in between is not a result.
    """
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield FrameResult.of_line(line)
            except (ValueError, KeyError, TypeError) as error:
                raise VideoError(f"{path}: line {number} is not the result of a frame: {error!r}.") from error


class JsonLines:
    """A file of results to add to; made if it is not there. A last line that an interruption tore is cut off."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+")
        self._file.seek(0)
        self.count = 0
        end = 0
        for line in self._file:
            if line.endswith(b"\n"):
                self.count, end = self.count + 1, end + len(line)
        self._file.truncate(end)

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, result: FrameResult) -> None:
        """Add a frame; it is on the disk when this returns."""
        self._file.write(result.to_line().encode("utf-8"))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.count += 1
