"""Readiness: whether the broker and the store answer, asked without holding the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from menos_bus.bus import Bus
from menos_bus.errors import FieldProblem
from menos_bus.messages.broker import connected

logger = logging.getLogger(__name__)

_SECONDS: Final = 4.5
"""How long somebody waits for the answer."""
_FRESH: Final = 1.0
"""Seconds for which an answer is good: anybody may ask, as often as they like."""


class Readiness:
    """What a bus needs to take calls."""

    def __init__(self, bus: Bus) -> None:
        self._checks = [
            _Check("broker", lambda: _connect(bus)),
            _Check("results", lambda: bus.app.ledger.find("readiness")),
        ]

    async def problems(self) -> list[FieldProblem]:
        """What does not answer; empty when all is well. Within about five seconds."""
        found = await asyncio.gather(*(check.problem() for check in self._checks))
        return [problem for problem in found if problem is not None]


class _Check:
    """One question, put once at a time, however many ask."""

    def __init__(self, name: str, ask: Callable[[], object]) -> None:
        self.name = name
        self._ask = ask
        self._answer: asyncio.Future[object] | None = None
        self._asked_at = 0.0

    async def problem(self) -> FieldProblem | None:
        now = asyncio.get_running_loop().time()
        answer = self._answer
        if answer is None or (answer.done() and now - self._asked_at > _FRESH):
            self._asked_at = now
            answer = self._answer = asyncio.ensure_future(asyncio.to_thread(self._ask))
        # Waiting ends, the question does not: a thread cannot be stopped.
        done, _ = await asyncio.wait([answer], timeout=_SECONDS)
        if not done:
            return FieldProblem(self.name, "does not answer in time")
        if (error := answer.exception()) is not None:
            # The text names hosts; whoever asks here need not have logged in.
            logger.warning("not ready: %s: %s", self.name, error)
            return FieldProblem(self.name, "does not answer")
        return None


def _connect(bus: Bus) -> None:
    with connected(bus.app):
        pass
