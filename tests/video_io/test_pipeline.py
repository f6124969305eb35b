import threading
from threading import Event

import pytest

from sam3_hf.video_io.pipeline import Behind, ahead


def test_items_read_ahead_keep_their_order():
    assert list(ahead(iter(range(100)), depth=3)) == list(range(100))
    assert list(ahead([])) == []


def test_no_more_items_are_made_than_may_wait():
    made, gate = [], Event()

    def make():
        for number in range(50):
            made.append(number)
            if number == 5:
                gate.set()
            yield number

    items = ahead(make(), depth=4)
    assert next(items) == 0
    assert gate.wait(10)
    items.close()
    # One is used, four wait, one waits to wait.
    assert len(made) <= 6


def test_an_error_while_reading_ahead_comes_after_the_items_before_it():
    def make():
        yield 1
        yield 2
        raise LookupError("third")

    items = ahead(make())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(LookupError, match="third"):
        next(items)


def test_the_thread_ends_when_nobody_wants_more():
    closed = Event()

    def make():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    items = ahead(make(), depth=1)
    next(items)
    items.close()
    assert closed.is_set()
    assert threading.active_count() == before


def test_what_is_written_behind_keeps_its_order_and_is_all_taken():
    taken = []
    with Behind(taken.append, depth=2) as behind:
        for number in range(50):
            behind.put(number)
    assert taken == list(range(50))


def test_draining_waits_until_all_is_taken():
    taken, gate = [], Event()

    def take(number):
        gate.wait(10)
        taken.append(number)

    with Behind(take) as behind:
        behind.put(1)
        behind.put(2)
        gate.set()
        behind.drain()
        assert taken == [1, 2]


@pytest.mark.parametrize("when", ["put", "drain", "end"])
def test_an_error_while_writing_behind_stops_the_writer(when):
    def take(number):
        raise LookupError(f"cannot write {number}")

    def write():
        with Behind(take, depth=1) as behind:
            behind.put(0)
            if when == "put":
                for number in range(1, 1000):
                    behind.put(number)
            if when == "drain":
                behind.drain()

    with pytest.raises(LookupError, match="cannot write 0"):
        write()


def test_when_the_block_fails_its_own_error_is_raised_and_what_waits_is_dropped():
    taken, begun, gate = [], Event(), Event()

    def take(number):
        begun.set()
        gate.wait(10)
        taken.append(number)

    def write():
        with Behind(take, depth=5) as behind:
            for number in range(5):
                behind.put(number)
            begun.wait(10)
            threading.Timer(0.3, gate.set).start()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        write()
    assert taken == [0]
