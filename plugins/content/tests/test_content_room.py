"""Room for so much work at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from menos_bus import Deferred
from menos_content.room import Room


def take(room, size, entered, leave):
    with room.taken(size):
        entered.set()
        assert leave.wait(10)


def test_what_fits_is_let_in_together_and_what_is_larger_alone():
    room = Room(10)
    entered, leave = threading.Event(), threading.Event()
    large, left = threading.Event(), threading.Event()
    left.set()

    with ThreadPoolExecutor(2) as pool:
        pool.submit(take, room, 6, entered, leave)
        assert entered.wait(10)
        with room.taken(4):
            later = pool.submit(take, room, 11, large, left)
            assert not large.wait(0.05)
        assert not large.wait(0.05)
        leave.set()
        later.result(10)

    assert large.is_set()


def test_who_still_waits_when_it_is_closed_is_sent_away():
    room = Room(10)

    with ThreadPoolExecutor(1) as pool, room.taken(10):
        waits = pool.submit(take, room, 1, threading.Event(), threading.Event())
        room.close()
        assert isinstance(waits.exception(10), Deferred)

    with pytest.raises(Deferred), room.taken(1):
        pass
