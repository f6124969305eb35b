"""A run that can be interrupted at any moment: one line per answer, each safe on the disk before the next is made.

header, answers -> <predictions>.run.jsonl -> all answers there -> <predictions>, put there whole
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from sam3_hf.evaluation.reading import entries_of

_ANEW = "delete the file and start anew."


class RunState(NamedTuple):
    """What a run file holds.

    Args:
        header: What was asked, of what and of which model.
        done: Ids with an answer, in order.
        detections: All answers together, in the form of a prediction file.
        end: Where the last whole line ends; what follows was torn by an interruption.
    """

    header: dict[str, Any]
    done: list[int]
    detections: list[dict[str, Any]]
    end: int


def run_path(predictions: Path) -> Path:
    """The run file beside a prediction file."""
    return predictions.with_name(predictions.name + ".run.jsonl")


def read_run(path: Path, keep: bool = True) -> RunState | None:
    """What a run file holds, `None` if nothing was begun; `keep=False` leaves the detections out.

    Raises:
        ValueError: A line in the middle is damaged, or an answer is there twice.
    """
    if not path.exists():
        return None
    header, done, detections, end = None, {}, [], 0
    for number, line in enumerate(_whole_lines(path), start=1):
        place = f"{path}: line {number}"
        values = _parse(line, place)
        end += len(line)
        if header is None:
            header = values
            continue
        id = _id_of(values, place)
        if id in done:
            raise ValueError(f"{place} answers {id} again; {_ANEW}")
        done[id] = None
        detections += values["detections"] if keep else []
    return None if header is None else RunState(header, list(done), detections, end)


class RunFile:
    """A run file to go on with, for one program at a time.

    Args:
        path: The file; made if it is not there.
        header: What identifies the run; a file of another run is refused.

    Raises:
        ValueError: It belongs to another run, or to a program that is still running, or is damaged.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self._file = path.open("ab")
        try:
            _lock(self._file.fileno(), path)
            state = read_run(path, keep=False)
            self.done = set(state.done) if state else set()
            self._file.truncate(state.end if state else 0)
            if state is None:
                self._append(dict(header))
            else:
                _check_same(path, state.header, json.loads(json.dumps(header)))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "RunFile":
        """The file itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; what it holds stays."""
        self._file.close()

    def add(self, id: int, detections: list[dict[str, Any]]) -> None:
        """Keep one answer; nothing if it is there already."""
        if id not in self.done:
            self._append({"id": id, "detections": detections})
            self.done.add(id)

    def finish(self, predictions: Path) -> None:
        """Write the prediction file and remove the run file."""
        partial = predictions.with_name(predictions.name + ".partial")
        with partial.open("w", encoding="utf-8") as file:
            separator = "["
            for detection in _detections(self.path):
                file.write(separator + json.dumps(detection))
                separator = ",\n"
            file.write("[]\n" if separator == "[" else "]\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, predictions)
        self._file.close()
        self.path.unlink()

    def _append(self, values: dict[str, Any]) -> None:
        self._file.write(json.dumps(values).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Lines up to the first without an end, which is the last one."""
    with path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def _detections(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_whole_lines(path)):
        if number:
            yield from json.loads(line)["detections"]


def _parse(line: bytes, place: str) -> dict[str, Any]:
    try:
        (entry,) = entries_of([json.loads(line)], place)
    except ValueError as error:
        raise ValueError(f"{place} is damaged ({error}); {_ANEW}") from error
    return dict(entry.values)


def _id_of(values: dict[str, Any], place: str) -> int:
    if not isinstance(values.get("id"), int) or not isinstance(values.get("detections"), list):
        raise ValueError(f"{place} is damaged: it holds no id with detections; {_ANEW}")
    return values["id"]


def _check_same(path: Path, there: dict[str, Any], asked: dict[str, Any]) -> None:
    different = [name for name in {**asked, **there} if there.get(name) != asked.get(name)]
    if different:
        raise ValueError(
            f"{path} belongs to a run with another {' and '.join(different)}; finish that one, delete the file, or "
            "write the predictions elsewhere."
        )


def _lock(descriptor: int, path: Path) -> None:
    """Keep other programs out until the file is closed, where the system can."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ValueError(f"{path} is in use by another program.") from error
