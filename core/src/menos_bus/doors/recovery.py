"""What an embedded bus leaves in its ledger when it ends, and takes up again from there."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from menos_bus.app import BusApp
from menos_bus.errors import BusUnavailable
from menos_bus.messages.giving_up import crash_loop, give_up
from menos_bus.outcomes.ledger import Entry
from menos_bus.outcomes.outcome import Outcome
from menos_bus.outcomes.sqlite import SQLiteLedger

logger = logging.getLogger(__name__)


def recover(app: BusApp, ledger: SQLiteLedger) -> None:
    """Send what was accepted and has not ended; to be called before the worker starts.

    What was cut off too often (``MENOS_DELIVERY_LIMIT``) is given up instead.
    """
    waiting = []
    for entry in ledger.unfinished():
        if entry.starts >= app.settings.delivery_limit:
            give_up(app, entry.task, entry.task_id, crash_loop(entry.starts))
            continue
        if _waits_for_quota(app, entry.task_id):
            # Whoever restarts the bus may have raised a limit.
            entry.message["headers"]["eta"] = None
        waiting.append(entry)
    _send(app, waiting)


def put_back(ledger: SQLiteLedger) -> None:
    """Let what still runs start again at the next start; never raises, for the process must end."""
    try:
        ledger.requeue_running()
    except BusUnavailable as error:
        logger.warning("what runs now counts as cut off once: %s", error.message)


def send_reopened(app: BusApp, ledger: SQLiteLedger) -> None:
    """Send what ``menos-bus dead replay`` has taken up again, in another process."""
    if reopened := ledger.take_reopened():
        _send(app, reopened)


def _send(app: BusApp, entries: Iterable[Entry]) -> None:
    with app.producer_or_acquire() as producer:
        for entry in entries:
            if entry.queue in app.amqp.queues:
                app.amqp.send_recorded(producer, entry)
            else:
                # It waits in the ledger until its plugin loads again.
                logger.warning(
                    "%s %s waits: no plugin that is loaded here has its queue %r",
                    entry.task,
                    entry.task_id,
                    entry.queue,
                )


def _waits_for_quota(app: BusApp, task_id: str) -> bool:
    error = Outcome.read(app, task_id).error
    return error is not None and error["code"] in ("quota_unavailable", "waiting_for_quota")
