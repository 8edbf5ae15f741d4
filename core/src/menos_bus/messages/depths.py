"""How full the queues are."""

from __future__ import annotations

from typing import Any, Final

from menos_bus.messages.broker import connected
from menos_bus.outcomes.sqlite import SQLiteLedger

_WAITING: Final = frozenset({"PENDING", "RETRY"})


def queue_depths(app: Any, *, stopped: bool = False) -> list[dict[str, Any]]:
    """Per queue: ``name``, ``messages`` (waiting) and what is known besides.

    Embedded they come from the ledger, retries among the waiting, with what is ``running``; a
    broker is asked itself, RabbitMQ also how many ``workers`` serve the queue.

    Args:
        app: the bus's Celery application.
        stopped: whether no process serves an embedded bus: what ran when it ended waits, too.

    Raises:
        BusUnavailable: the broker does not answer.
    """
    names = [queue.name for queue in app.conf.task_queues]
    if isinstance(app.ledger, SQLiteLedger):
        depths = app.ledger.depths()
        return [
            _depth(name, depths.get(name, {}), stopped=stopped)
            for name in sorted({*names, *depths})
        ]
    with connected(app) as connection:
        return [{"name": name, **_ask(connection, name)} for name in sorted(names)]


def _depth(name: str, states: dict[str, int], *, stopped: bool) -> dict[str, Any]:
    running = sum(number for state, number in states.items() if state not in _WAITING)
    running = 0 if stopped else running
    return {"name": name, "messages": sum(states.values()) - running, "running": running}


def _ask(connection: Any, queue: str) -> dict[str, int]:
    # A channel of its own, since a queue that is not there closes it.
    channel = connection.channel()
    try:
        found = channel.queue_declare(queue, passive=True)
        messages, workers = int(found.message_count), int(found.consumer_count)
    except connection.channel_errors:  # not declared by any worker yet
        messages = workers = 0
    finally:
        channel.close()
    if connection.transport.driver_type != "amqp":  # Redis does not know who listens
        return {"messages": messages}
    return {"messages": messages, "workers": workers}
