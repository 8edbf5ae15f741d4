"""Exchanges and queues. Their options are the core's alone: two processes that declare one queue
differently would keep each other out (RabbitMQ answers 406).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kombu.entity import Exchange, Queue

INTERNAL_QUEUE: Final = "celery"
"""Where Celery's own tasks travel, such as the one that completes a chord."""

PRIORITY_SUFFIX: Final = ".priority"
"""Priority calls have a queue of their own: a quorum queue knows no priorities, and with a second
queue a worker can still fetch one message at a time."""

DELIVERY_LIMIT: Final = 5
"""Deliveries after which RabbitMQ gives a message up; 3.10 has no default, 4.x has 20."""


def queue_name(queue: str, *, priority: bool) -> str:
    """The queue that a call travels on."""
    return queue + PRIORITY_SUFFIX if priority else queue


def plugin_of(queue: str) -> str:
    """The plugin that a queue belongs to."""
    return queue.removesuffix(PRIORITY_SUFFIX)


def queues(plugins: Iterable[str], *, embedded: bool) -> list[Queue]:
    """The queues of these plugins and the internal one.

    Embedded they are plain queues in memory. On a broker they are quorum queues on one topic
    exchange (a direct one would make delayed messages block a worker), each with a delivery limit
    and a dead-letter queue that loses nothing (at-least-once needs ``reject-publish``).
    """
    names = [
        queue_name(plugin, priority=priority) for plugin in plugins for priority in (True, False)
    ]
    if embedded:
        return [Queue(name) for name in (*names, INTERNAL_QUEUE)]
    exchange = Exchange("menos", type="topic", durable=True)
    return [
        Queue(name, exchange, routing_key=name, queue_arguments=_arguments(name))
        for name in (*names, INTERNAL_QUEUE)
    ]


def dead_letter_queues(plugins: Iterable[str]) -> list[Queue]:
    """One ``<plugin>.dead`` per plugin on a broker, for both of its queues."""
    exchange = Exchange("menos.dead", type="direct", durable=True)
    return [
        Queue(name, exchange, routing_key=name, queue_arguments={"x-queue-type": "quorum"})
        for name in (f"{plugin}.dead" for plugin in (*plugins, INTERNAL_QUEUE))
    ]


def _arguments(queue: str) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "menos.dead",
        # Set, because a delayed message's own routing key is not the queue's name.
        "x-dead-letter-routing-key": f"{plugin_of(queue)}.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
