"""What follows a try to deliver a callback: nothing more, or another try, and when.

By the Standard Webhooks specification every status but 2xx is a failure and is tried again over
days: the receiver may be down, misconfigured or behind a login that someone is about to mend. So
401, 403, 404 and redirects, which are not followed, are tried again too. Two answers end it: 410,
and a 409 that says that the receiving workflow has finished already.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from menos_bus.callbacks.deliver import Answer, DeliveryFailed

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0

WAITS: Final = (
    5.0,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
"""Seconds between two tries."""
EARLY_WAITS: Final = (1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds between two tries while the receiver is not ready yet: n8n answers 409, or a 500 of its
own, until it has stored the workflow that waits for the callback."""
JITTER: Final = 0.2
"""The part of a wait by which it is longer or shorter, so that a receiver that was down does not
get everything at one moment."""
LONGEST_RETRY_AFTER: Final = 24 * _HOUR
LONGEST_AGE: Final = 4 * _DAY
"""Seconds after which there is no further try. The waits end before; ``Retry-After`` might not."""

_FINISHED: Final = re.compile(
    r"finished already|already finished|has finished with error", re.IGNORECASE
)
_NOT_READY: Final = re.compile(r"\bresumeToken\b")
"""In n8n's answer 500 while an execution is there and its data is not yet (2.41.1)."""


@dataclass(frozen=True)
class Tries:
    """What is kept between two tries.

    Attributes:
        failed: tries that failed and count.
        early: tries that came too early.
    """

    failed: int = 0
    early: int = 0


@dataclass(frozen=True)
class Done:
    """The callback has arrived, by this try or by one before it."""


@dataclass(frozen=True)
class Stop:
    """The callback is given up."""

    reason: str


@dataclass(frozen=True)
class Again:
    """There is another try.

    Attributes:
        seconds: from now; whole and at least 1, since Celery's delayed delivery takes no less.
        reason: why this try failed.
        tries: what to give to :func:`next_step` then.
    """

    seconds: int
    reason: str
    tries: Tries


def next_step(
    result: Answer | DeliveryFailed,
    tries: Tries,
    age: float = 0.0,
    draw: Callable[[], float] = random.random,
) -> Done | Stop | Again:
    """Decide what follows a try.

    Args:
        result: what the try led to.
        tries: those before this one.
        age: seconds since the first try was due.
        draw: gives a number from 0 to 1 for the jitter.
    """
    if isinstance(result, DeliveryFailed):
        return _again(str(result), None, tries, age, draw)
    if 200 <= result.status < 300:
        return Done()
    reason = f"answered {result.status}"
    if result.status == 410:
        return Stop(f"{reason}: the receiver wants no more callbacks")
    if result.status == 409 and _FINISHED.search(result.text):
        return Done()
    early = result.status == 409 or (result.status == 500 and _NOT_READY.search(result.text))
    if early and tries.early < len(EARLY_WAITS):
        seconds = _seconds(EARLY_WAITS[tries.early], result.retry_after)
        return _unless_old(Again(seconds, reason, replace(tries, early=tries.early + 1)), age)
    if 300 <= result.status < 400:
        reason += ": redirects are not followed, give the address that it leads to"
    return _again(reason, result.retry_after, tries, age, draw)


def _again(
    reason: str,
    retry_after: float | None,
    tries: Tries,
    age: float,
    draw: Callable[[], float],
) -> Stop | Again:
    if tries.failed >= len(WAITS):
        return Stop(f"{reason}; given up after {tries.failed + tries.early + 1} tries")
    wait = WAITS[tries.failed] * (1 + JITTER * (2 * draw() - 1))
    again = Again(_seconds(wait, retry_after), reason, replace(tries, failed=tries.failed + 1))
    return _unless_old(again, age)


def _unless_old(again: Again, age: float) -> Stop | Again:
    if age + again.seconds > LONGEST_AGE:
        return Stop(f"{again.reason}; given up after {LONGEST_AGE / _DAY:g} days")
    return again


def _seconds(wait: float, retry_after: float | None) -> int:
    least = min(retry_after or 0.0, LONGEST_RETRY_AFTER)
    return max(1, round(wait), math.ceil(least))
