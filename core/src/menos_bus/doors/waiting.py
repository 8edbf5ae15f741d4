"""Waiting for an outcome within a request, without holding the event loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final

from menos_bus.bus import Bus
from menos_bus.errors import FieldProblem, InvalidCall
from menos_bus.outcomes.outcome import Outcome

LONGEST_WAIT: Final = 600.0
"""Seconds for which a caller may wait for a result in one request."""
_POLL: Final = (0.005, 0.5)
"""Seconds between two looks at a result: the first pause, and the longest."""


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
    while True:
        outcome = await asyncio.to_thread(bus.outcome, task_id)
        if outcome.ready or loop.time() >= deadline or await hung_up():
            return outcome
        await asyncio.sleep(pause)
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
