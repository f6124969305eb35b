"""Threads that work side by side, joined by short queues: reading ahead, and writing behind.

iterator -> [thread] -> queue -> the same items, in order, made while the earlier ones are used
items, in order -> queue -> [thread] -> function that takes them
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
# How many items wait at most.
DEPTH = 4
_PAUSE = 0.1


class _End:
    """Nothing more comes; because of an error, if there is one."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterable[Item], depth: int = DEPTH) -> Generator[Item, None, None]:
    """The items, made in a thread of its own, at most `depth` of them before they are asked for.

    An error in the thread is raised here, after the items that came before it.
    """
    queue: Queue[Item | _End] = Queue(depth)
    stopped = Event()
    thread = Thread(target=_fill, args=(iter(items), queue, stopped), daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        thread.join()


def _fill(items: Iterator[Item], queue: "Queue[Item | _End]", stopped: Event) -> None:
    end = _End()
    try:
        for item in items:
            if not _put(queue, item, stopped):
                break
    except BaseException as error:
        end = _End(error)
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
    _put(queue, end, stopped)


def _put(queue: "Queue[Item | _End]", item: Item | _End, stopped: Event) -> bool:
    """Wait for a free place, unless nobody wants more."""
    while not stopped.is_set():
        try:
            queue.put(item, timeout=_PAUSE)
        except Full:
            continue
        return True
    return False


class Behind(Generic[Item]):
    """Items are taken by a function in a thread of its own, in the order they were put; at most `depth` wait.

    An error in the thread is raised by the next `put`, by `drain`, or at the end of the block. When the block itself
    fails, what waits is dropped.

    Args:
        take: The function.
        depth: How many items wait at most.
    """

    def __init__(self, take: Callable[[Item], None], depth: int = DEPTH) -> None:
        self._take, self._queue = take, Queue[Item | _End](depth)
        self._stopped, self._error = Event(), None
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Behind[Item]":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stopped.set()
        else:
            _put(self._queue, _End(), self._stopped)
        self._thread.join()
        if error is None:
            self._complain()

    def put(self, item: Item) -> None:
        """Hand an item over; waits while too many wait."""
        self._complain()
        _put(self._queue, item, self._stopped)
        self._complain()

    def drain(self) -> None:
        """Wait until all that was put is taken."""
        self._queue.join()
        self._complain()

    def _complain(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                item = self._queue.get(timeout=_PAUSE)
            except Empty:
                continue
            if isinstance(item, _End):
                return
            self._take_safely(item)
            self._queue.task_done()

    def _take_safely(self, item: Item) -> None:
        if self._error is not None:
            return
        try:
            self._take(item)
        except BaseException as error:
            self._error = error
