"""How full the queues are."""

from __future__ import annotations

from typing import Any, Final

from menos_bus.messages.broker import connected
from menos_bus.outcomes.sqlite import SQLiteLedger

_WAITING: Final = frozenset({"PENDING", "RETRY"})


def queue_depths(app: Any) -> list[dict[str, Any]]:
    """Per queue: ``name``, ``messages`` (waiting) and, where it is known, ``running``.

    Embedded they come from the ledger, retries among the waiting; a broker is asked itself.

    Args:
        app: the bus's Celery application.

    Raises:
        BusUnavailable: the broker does not answer.
    """
    names = [queue.name for queue in app.conf.task_queues]
    if isinstance(app.ledger, SQLiteLedger):
        depths = app.ledger.depths()
        return [
            {
                "name": name,
                "messages": _count(depths.get(name, {}), waiting=True),
                "running": _count(depths.get(name, {}), waiting=False),
            }
            for name in sorted({*names, *depths})
        ]
    with connected(app) as connection:
        return [{"name": name, "messages": _ask(connection, name)} for name in sorted(names)]


def _count(states: dict[str, int], *, waiting: bool) -> int:
    return sum(number for state, number in states.items() if (state in _WAITING) == waiting)


def _ask(connection: Any, queue: str) -> int:
    # A channel of its own, since a queue that is not there closes it.
    channel = connection.channel()
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:  # not declared by any worker yet
        return 0
    finally:
        channel.close()
