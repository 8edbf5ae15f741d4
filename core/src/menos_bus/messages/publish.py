"""The one place that every message passes: recorded in the ledger first, then published.

Celery sends everything through ``amqp.send_task_message``: calls of all doors, retries, the parts
of a canvas, its own tasks. Recording there means that nothing can be accepted unrecorded. On a
broker a message is persistent, confirmed and must reach a queue, all within a bounded time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_urlsafe
from typing import Any, Final

from celery import current_task
from celery.app.amqp import AMQP, task_message
from kombu.exceptions import KombuError

from menos_bus.errors import BusUnavailable
from menos_bus.outcomes.ledger import ACCEPTED_HEADER, Accepted, Entry
from menos_bus.tasks.envelope import digest_of

PRIORITY_HEADER: Final = "menos_priority"
AHEAD_HEADER: Final = "menos_ahead"
"""Marks a call that only looks how far others are. It goes ahead in the queue, where it would else
wait behind all of them, and has no other privilege of a call with priority."""
CALLBACK_HEADER: Final = "menos_callback_url"
LETTERLESS_HEADER: Final = "menos_letterless"
"""Marks a call of a task without dead letters, for a worker that has not got the task."""

PUBLISH_SECONDS: Final = 10.0
"""How long a publish may take. A broker under a memory alarm never answers, and py-amqp waits for
it for ever."""
_STALE_SECONDS: Final = 1.0
"""A publish that fails sooner than this met a connection that had died while it was idle."""

_REFUSED: Final = 403
"""AMQP's code for a wrong password, and for what a user may not."""


class LedgerAMQP(AMQP):  # type: ignore[misc]  # Celery ships no types
    """Celery's message producer with acceptance in front."""

    def _create_task_sender(self) -> Callable[..., Any]:
        send = super()._create_task_sender()

        def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
            # A retry brings the token of its call along.
            headers = {ACCEPTED_HEADER: token_urlsafe(16), **(options.get("headers") or {})}
            options["headers"] = headers
            entry = _entry(name, message, options)
            ledger = self.app.ledger

            def publish(**bounds: Any) -> Any:
                return send(producer, name, message, **{**options, **bounds})

            if _sends_itself_again(message):
                headers[ACCEPTED_HEADER] = ledger.accept_again(entry)
                return bounded(producer, publish)
            if ledger.accept(entry) is Accepted.REPEATED:
                return None
            try:
                published = bounded(producer, publish)
            except BaseException:
                ledger.withdraw(entry.task_id)
                raise
            ledger.published(entry.task_id)
            return published

        return send_task_message

    def send_recorded(self, producer: Any, entry: Entry) -> None:
        """Publish a recorded call again, as it was."""
        headers, properties, body = (
            entry.message[part] for part in ("headers", "properties", "body")
        )
        message = task_message(headers, properties, tuple(body), None)
        super()._create_task_sender()(producer, entry.task, message, queue=entry.queue)


def bounded(producer: Any, publish: Callable[..., Any]) -> Any:
    """Publish within :data:`PUBLISH_SECONDS`, confirmed.

    Args:
        producer: the kombu producer that is used.
        publish: takes ``mandatory`` and ``confirm_timeout``, which only AMQP knows.

    Returns:
        What ``publish`` gives.

    Raises:
        BusUnavailable: the broker did not take it, or did not say so in time.
    """
    connection = producer.connection
    amqp = connection is not None and connection.transport.driver_type == "amqp"
    bounds = {"mandatory": True, "confirm_timeout": PUBLISH_SECONDS} if amqp else {}
    errors = (KombuError, OSError)
    if connection is not None:
        errors = (*errors, *connection.connection_errors, *connection.channel_errors)
    started = time.monotonic()
    try:
        try:
            return publish(**bounds)
        except errors:
            if connection is None or time.monotonic() - started > _STALE_SECONDS:
                raise
            connection.collect(socket_timeout=1)
            producer.revive(connection)
            return publish(**bounds)
    except errors as error:
        if connection is not None:
            # Closed, so that nobody waits for this one again.
            connection.collect(socket_timeout=1)
        if getattr(error, "reply_code", None) == _REFUSED:
            raise BusUnavailable(
                f"the broker refuses ({_say(error)}): correct user and password in "
                "MENOS_BROKER_URL, or what the user may"
            ) from error
        raise BusUnavailable(
            f"the broker does not take messages now ({_say(error)}): try again"
        ) from error


def _say(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _sends_itself_again(message: Any) -> bool:
    if message.headers.get("retries"):
        return True
    request = getattr(current_task, "request", None) if current_task else None
    return request is not None and request.id == message.headers["id"]


def _entry(name: str, message: Any, options: dict[str, Any]) -> Entry:
    queue = options.get("queue") or options.get("routing_key") or ""
    args, kwargs, _ = message.body
    headers = {**message.headers, **options["headers"]}
    callback_url = headers.get(CALLBACK_HEADER)
    return Entry(
        task_id=message.headers["id"],
        task=name,
        queue=getattr(queue, "name", queue),
        digest=digest_of(name, args, kwargs, callback_url),
        message={
            "headers": headers,
            "properties": dict(message.properties),
            "body": list(message.body),
        },
        callback_url=callback_url,
        token=headers[ACCEPTED_HEADER],
    )
