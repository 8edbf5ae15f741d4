"""Work on many contents in one call: several at a time, with progress, and in slices."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Final, TypeVar

from menos_bus import Deferred, progress, task_threads
from menos_content.room import Room

T = TypeVar("T")
R = TypeVar("R")

_AT_A_TIME: Final = 8
"""So many, so that short texts fill the batches of the embedding model, too, and nothing waits for
the disk."""

_CHARACTERS: Final = 100_000
"""Of texts that are worked on at a time, if it is more than one: they fill the batches, and of long
ones each is done before the next one begins, so that a slice is not over before any of them is."""

_SLICE: Final = 60.0
"""Seconds after which the work is put back and taken up again: other calls get their turn, and no
time limit is met."""


def side_by_side(
    work: Callable[[T, Room], R], items: Sequence[T], *, stage: str, done: int = 0
) -> Iterator[R]:
    """Do the work on each item, and return what it returns, in their order.

    Whoever stops here waits for what is under way; nothing more is begun.

    Args:
        work: what is done with an item, by several threads at a time, and the room for texts that
            they share.
        items: what there is to do.
        stage: what this is, for those who see the progress.
        done: how many more items there were, which were done before.

    Raises:
        Deferred: time is up (``more_to_do``). The call has to skip what is done when it runs again.
    """
    began = time.monotonic()
    total = done + len(items)
    progress(stage, done, total)
    waiting = deque(items)
    begun: deque[Future[R]] = deque()
    room = Room(_CHARACTERS)
    with task_threads(_AT_A_TIME) as pool:
        try:
            while waiting or begun:
                while waiting and len(begun) < _AT_A_TIME:
                    begun.append(pool.submit(work, waiting.popleft(), room))
                yield begun.popleft().result()
                done += 1
                progress(stage, done, total)
                if time.monotonic() - began > _SLICE and done < total:
                    raise Deferred(
                        f"{done} of {total} contents are done",
                        "more_to_do",
                        after=1,
                        progress=(stage, done, total),
                    )
        finally:
            room.close()
