"""Work on many contents in one call: several at a time, with progress, and in slices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import chain, islice
from typing import Final, TypeVar

from menos_bus import Deferred, progress, task_threads
from menos_content.room import Room

T = TypeVar("T")
R = TypeVar("R")

_AT_A_TIME: Final = 4
"""So many, so that nothing waits for the disk; in one process more only wait for each other. With
objects 50 ms away eight would be a quarter faster."""

_GROUP: Final = 32
"""Contents at most that are read and noted together: a question to the database costs little more
for all of them than for one. Short texts of one group fill the batches of the embedding model."""

_CHARACTERS: Final = 100_000
"""Of texts that are worked on at a time, if it is more than one: they fill the batches, and of long
ones each is done before the next one begins, so that a slice is not over before any of them is."""

_LOOK: Final = 0.25
"""Seconds between two looks at how far it is."""

_SLICE: Final = 60.0
"""Seconds after which the work is put back and taken up again: other calls get their turn, and no
time limit is met."""


def side_by_side(
    work: Callable[[Sequence[T], Room], Iterator[R]],
    items: Sequence[T],
    *,
    stage: str,
    done: int = 0,
) -> list[R]:
    """Do the work on all items, in groups, and return what it yields of each, in their order.

    Whoever stops here waits for what is under way; nothing more is begun.

    Args:
        work: what is done with a group of items, by several threads at a time; it yields something
            of each, once that is done. The threads share the room for texts.
        items: what there is to do.
        stage: what this is, for those who see the progress.
        done: how many more items there were, which were done before.

    Raises:
        Deferred: time is up (``more_to_do``). The call has to skip what is done when it runs again.
    """
    in_ended, began_with, total = done, done, done + len(items)
    progress(stage, done, total)
    ends = time.monotonic() + _SLICE
    waiting = _groups(items)
    results: list[list[R]] = []
    running: dict[Future[None], list[R]] = {}
    room = Room(_CHARACTERS)
    with task_threads(_AT_A_TIME) as pool:
        try:
            while True:
                for group in islice(waiting, _AT_A_TIME - len(running)):
                    results.append([])
                    running[pool.submit(_collect, work(group, room), results[-1])] = results[-1]
                if not running:
                    break
                for ended in wait(running, _LOOK, return_when=FIRST_COMPLETED).done:
                    ended.result()
                    in_ended += len(running.pop(ended))
                done = in_ended + sum(map(len, running.values()))
                progress(stage, done, total)
                if began_with < done < total and time.monotonic() >= ends:
                    raise Deferred(
                        f"{done} of {total} contents are done",
                        "more_to_do",
                        after=1,
                        progress=(stage, done, total),
                    )
        finally:
            room.close()
    return list(chain.from_iterable(results))


def _groups(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut into groups, of which each thread gets one at least."""
    size = max(1, min(_GROUP, len(items) // _AT_A_TIME))
    return (items[start : start + size] for start in range(0, len(items), size))


def _collect(found: Iterator[R], into: list[R]) -> None:
    for result in found:  # one by one, so that others see how far it is
        into.append(result)
