"""Giving up what is not run to its end: its message is filed in ``<plugin>.dead`` with the reason,
and its call ends as a failure. What is filed there is dealt with in
:mod:`menos_bus.messages.dead_letters`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_urlsafe
from typing import Any, Final

from celery import states
from celery.app.task import Context

from menos_bus.errors import CallConflict, TaskFailed
from menos_bus.messages.publish import bounded
from menos_bus.messages.topology import DEAD_EXCHANGE, dead_letter_queues, dead_queue
from menos_bus.outcomes.ledger import Entry
from menos_bus.tasks.contract import computed_id

_HEADER: Final = "menos_dead_"
ROUNDS_HEADER: Final = "menos_rounds"
"""How often a message was taken up again."""


@dataclass(frozen=True)
class Death:
    """Why a message is a dead letter.

    Attributes:
        code: a stable word for programs, as in the outcome of the call.
        reason: for a person.
        queue: the plugin's queue that it came from.
        task: the task that it names, if any.
        task_id: the call's id, if it has one.
        tries: how often it was tried.
        rounds: how often it was taken up again before.
        died_at: ISO 8601, UTC.
    """

    code: str
    reason: str
    queue: str
    task: str | None = None
    task_id: str | None = None
    tries: int = 0
    rounds: int = 0
    died_at: str = ""

    def as_headers(self) -> dict[str, Any]:
        """As AMQP headers, ``menos_dead_…``."""
        died_at = self.died_at or datetime.now(UTC).isoformat(timespec="seconds")
        told = {**self.__dict__, "died_at": died_at, "reason": self.reason[:2000]}
        return {_HEADER + name: value for name, value in told.items() if value is not None}

    @classmethod
    def from_headers(cls, headers: Mapping[str, Any]) -> Death | None:
        """What :meth:`as_headers` wrote, or ``None``."""
        told = {
            name: headers[_HEADER + name]
            for name in cls.__dataclass_fields__
            if _HEADER + name in headers
        }
        return cls(**told) if {"code", "reason", "queue"} <= told.keys() else None


def bury(app: Any, message: Any, death: Death) -> None:
    """File a message under ``<plugin>.dead``, as it is, and acknowledge it.

    Args:
        app: the bus's application.
        message: the kombu message, not acknowledged yet.
        death: why.

    Raises:
        BusUnavailable: it could not be filed; the message is still unacknowledged.
    """
    properties = dict(message.properties)
    headers = without_death(message.headers)
    body = _bytes(message.body)
    with app.producer_or_acquire() as producer:
        bounded(
            producer,
            lambda **bounds: producer.publish(
                body,
                exchange=DEAD_EXCHANGE,
                routing_key=dead_queue(death.queue),
                # Somebody may have deleted it.
                declare=[
                    queue
                    for queue in dead_letter_queues([death.queue])
                    if queue.name == dead_queue(death.queue)
                ],
                headers={**headers, **death.as_headers()},
                content_type=message.content_type or "application/octet-stream",
                content_encoding="binary",
                correlation_id=properties.get("correlation_id"),
                delivery_mode=2,
                **bounds,
            ),
        )
    message.ack()


def without_death(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    """A message's own headers, without what became of it."""
    return {
        name: value
        for name, value in (headers or {}).items()
        # kombu has decompressed the body, and what the broker noted is of no use.
        if name != "compression" and not name.startswith(("x-", _HEADER))
    }


def fail(app: Any, death: Death, callback_url: str | None, message: Any, *, own: bool) -> None:
    """Store the terminal state of a call that never ran, so that its sender can learn of it.

    Args:
        app: the bus's application.
        death: why.
        callback_url: where its sender wants to hear of it.
        message: what it says tells a repetition from another call of that id, whose outcome is
            left alone.
        own: whether it is the call of that id.
    """
    if death.task_id is None and callback_url is None:
        return
    digest = digest_of_body(message)
    entry = Entry(
        # Computed, so that a second try is not a second outcome.
        task_id=death.task_id or computed_id("dead", digest),
        task=death.task or "",
        queue=death.queue,
        digest=digest,
        message={},
        callback_url=callback_url,
        token=token_urlsafe(16),  # which no message has: taken up again it is checked again
    )
    try:
        app.ledger.accept(entry)
    except CallConflict:
        if not own:
            return
    app.ledger.published(entry.task_id)
    outcome = TaskFailed(death.reason, death.code, death.tries)
    app.backend.store_result(entry.task_id, outcome, states.FAILURE)


def digest_of_body(message: Any) -> str:
    """What tells the call that :func:`fail` records from any other."""
    return hashlib.sha256(_bytes(message.body)).hexdigest()


def give_up(app: Any, task: str, task_id: str, outcome: TaskFailed) -> None:
    """End a call that is not run again, and tell the plugins, as a run that fails does.

    Args:
        app: the bus's application.
        task: the task's name.
        task_id: the call.
        outcome: why.
    """
    app.backend.store_result(task_id, outcome, states.FAILURE, request=Context(task=task))
    told = {"task": task, "task_id": task_id, "state": states.FAILURE}
    app.hooks.release_quota(**told)
    app.hooks.task_finished(**told, result=None)


def crash_loop(starts: int) -> TaskFailed:
    """The outcome of a call whose process died each time that it ran."""
    return TaskFailed(
        f"its process died {starts} times while it ran, so it is not run again "
        "(MENOS_DELIVERY_LIMIT)",
        "crash_loop",
        starts,
    )


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else str(body).encode(errors="surrogatepass")
