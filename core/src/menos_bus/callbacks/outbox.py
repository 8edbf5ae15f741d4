"""What is owed: from the terminal state of a call to the delivery of its callback.

The ledger notes what a call owes in the same step in which it stores the terminal state, whoever
stores it. From there the delivery is submitted as a call of its own, under an id that is computed,
so that any process may do it, and twice is once.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from celery.bootsteps import StartStopStep

from menos_bus.errors import CallConflict
from menos_bus.outcomes.ledger import Entry
from menos_bus.tasks.contract import computed_id

logger = logging.getLogger(__name__)

DELIVER: Final = "callbacks.deliver"
"""The name of the task that delivers."""

SWEEP_SECONDS: Final = 5.0
"""Seconds between two looks for what a process that died has left."""


def event_id(entry: Entry) -> str:
    """The id of a callback: one for each terminal state of a call."""
    return computed_id("callback", entry.task_id, entry.rounds)


def submit_owed(app: Any) -> None:
    """Submit the delivery of everything that is owed.

    Args:
        app: the bus's application.

    Raises:
        Exception: the broker or the ledger does not answer; what is owed stays owed.
    """
    for entry in app.ledger.owed_callbacks():
        try:
            app.send_task(DELIVER, kwargs={"task_id": entry.task_id}, task_id=event_id(entry))
        except CallConflict as conflict:
            # A caller chose that id for another call: it must not keep the others' callbacks.
            logger.error("the callback of %s is not sent: %s", entry.task_id, conflict.message)
        app.ledger.callback_taken(entry.task_id)


class SubmitOwed(StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """Part of every worker: submits what a process that died has left owed.

    On the worker's own timer and not on a thread, since children are forked at any time.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, c: Any) -> None:
        """Begin with the worker."""
        self._timer, self._entry = c.timer, c.timer.call_repeatedly(SWEEP_SECONDS, _try, (c.app,))

    def stop(self, c: Any) -> None:
        """End with the connection."""
        self._timer.cancel(self._entry)


def _try(app: Any) -> None:
    try:
        submit_owed(app)
    except Exception as error:  # noqa: BLE001 - whatever it is, the next look may be better
        logger.warning("callbacks wait: %s", error)
