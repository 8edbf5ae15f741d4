"""Waiting for an outcome within a request, without holding the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import Final

from menos_bus.bus import Bus
from menos_bus.errors import FieldProblem, InvalidCall
from menos_bus.outcomes.outcome import Outcome

LONGEST_WAIT: Final = 600.0
"""Seconds for which a caller may wait for a result in one request."""
_POLL: Final = (0.005, 0.5)
"""Seconds between two looks at a result that another process may store: the first pause, and the
longest. Between two looks at one that ends here it is always the longest."""


async def wait(
    bus: Bus, task_id: str, seconds: float, hung_up: Callable[[], Awaitable[bool]]
) -> Outcome:
    """The outcome, at the latest after this many seconds.

    Args:
        bus: where the call was accepted.
        task_id: its id.
        seconds: as the caller wishes; at most :data:`LONGEST_WAIT` count.
        hung_up: whether the caller does not wait any more.

    Raises:
        UnknownTaskId: no such call is known.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(max(seconds, 0.0), LONGEST_WAIT)
    pause, longest = _POLL
    watchers = bus.app.watchers
    if watchers.hear_all:
        pause = longest
    ended = asyncio.Event()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(ended.set)

    with watchers.watching(task_id, tell):
        while True:
            ended.clear()
            outcome = await asyncio.to_thread(bus.outcome, task_id)
            left = deadline - loop.time()
            if outcome.ready or left <= 0 or await hung_up():
                return outcome
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), min(pause, left))
            pause = min(pause * 1.5, longest)


def seconds_of(text: str | None) -> float:
    """The value of a ``timeout`` parameter; 0 when it is not given.

    Raises:
        InvalidCall: it is no number of seconds.
    """
    try:
        seconds = 0.0 if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise InvalidCall([FieldProblem("timeout", "must be a number of seconds")])
    return seconds
