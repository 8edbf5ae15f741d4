"""Exchanges and queues. Their options are the core's alone: two processes that declare one queue
differently would keep each other out (RabbitMQ answers 406).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kombu.entity import Exchange, Queue

from menos_bus.tasks.contract import CORE_QUEUES

PRIORITY_SUFFIX: Final = ".priority"
"""Priority calls have a queue of their own: a quorum queue knows no priorities, and with a second
queue a worker can still fetch one message at a time."""

DEAD_EXCHANGE: Final = "menos.dead"
"""The dead-letter exchange of every queue."""

DEAD_LETTERED: Final = "menos.dead-lettered"
"""Where the broker puts what it gave up or what was rejected. A worker takes it from there, stores
the terminal state, notes the reason and files it under ``<plugin>.dead``."""

BROKER_DELIVERY_LIMIT: Final = 20
"""Deliveries after which RabbitMQ gives a message up, should it kill workers before they count.
(3.10 has no default, 4.x has 20.)"""

_NO_LIMIT: Final = 2_000_000_000
"""The delivery limit of queues that must keep everything: 4.x would drop after 20 looks."""


def queue_name(queue: str, *, priority: bool) -> str:
    """The queue that a call travels on."""
    return queue + PRIORITY_SUFFIX if priority else queue


def plugin_of(queue: str) -> str:
    """The plugin that a queue belongs to."""
    return queue.removesuffix(PRIORITY_SUFFIX)


def dead_queue(plugin: str) -> str:
    """Where the dead letters of both queues of a plugin are kept."""
    return f"{plugin}.dead"


def queues(plugins: Iterable[str], *, embedded: bool) -> list[Queue]:
    """The queues of these plugins and of the bus itself.

    Embedded they are plain queues in memory. On a broker they are quorum queues on one topic
    exchange (a direct one would make delayed messages block a worker), each with a delivery limit
    and a dead-letter exchange that loses nothing (at-least-once needs ``reject-publish``).
    """
    names = [
        queue_name(plugin, priority=priority) for plugin in plugins for priority in (True, False)
    ]
    if embedded:
        return [Queue(name) for name in (*names, *CORE_QUEUES)]
    exchange = Exchange("menos", type="topic", durable=True)
    return [
        Queue(name, exchange, routing_key=name, queue_arguments=_WORK)
        for name in (*names, *CORE_QUEUES)
    ]


def dead_letter_queues(plugins: Iterable[str]) -> list[Queue]:
    """One ``<plugin>.dead`` per plugin on a broker, and what the broker itself fills."""
    exchange = Exchange(DEAD_EXCHANGE, type="topic", durable=True)
    names = [*(dead_queue(plugin) for plugin in (*plugins, *CORE_QUEUES)), DEAD_LETTERED]
    return [Queue(name, exchange, routing_key=name, queue_arguments=_KEEP) for name in names]


_WORK: Final[dict[str, Any]] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": BROKER_DELIVERY_LIMIT,
    "x-dead-letter-exchange": DEAD_EXCHANGE,
    # Set, because a delayed message's own routing key is not the queue's name.
    "x-dead-letter-routing-key": DEAD_LETTERED,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
_KEEP: Final[dict[str, Any]] = {"x-queue-type": "quorum", "x-delivery-limit": _NO_LIMIT}
