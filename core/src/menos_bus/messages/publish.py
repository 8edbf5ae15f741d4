"""The one place that every message passes: recorded in the ledger first, then published.

Celery sends everything through ``amqp.send_task_message``: calls of all doors, retries, the parts
of a canvas, its own tasks. Recording there means that nothing can be accepted unrecorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import current_task
from celery.app.amqp import AMQP, task_message
from kombu.exceptions import OperationalError

from menos_bus.errors import BusUnavailable
from menos_bus.outcomes.ledger import Accepted, Entry
from menos_bus.tasks.envelope import digest_of


class LedgerAMQP(AMQP):  # type: ignore[misc]  # Celery ships no types
    """Celery's message producer with acceptance in front."""

    def _create_task_sender(self) -> Callable[..., Any]:
        publish = super()._create_task_sender()

        def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
            entry = _entry(name, message, options)
            ledger = self.app.ledger
            if _sends_itself_again(message):
                ledger.accept_again(entry)
                return publish(producer, name, message, **options)
            if ledger.accept(entry) is Accepted.REPEATED:
                return None
            try:
                return publish(producer, name, message, **options)
            except (OperationalError, OSError) as error:
                ledger.withdraw(entry.task_id)
                raise BusUnavailable(
                    f"the broker does not take messages now ({error}): try again"
                ) from error
            except BaseException:
                ledger.withdraw(entry.task_id)
                raise

        return send_task_message

    def send_recorded(self, producer: Any, entry: Entry) -> None:
        """Publish a recorded call again, as it was."""
        headers, properties, body = (
            entry.message[part] for part in ("headers", "properties", "body")
        )
        message = task_message(headers, properties, tuple(body), None)
        super()._create_task_sender()(producer, entry.task, message, queue=entry.queue)


def _sends_itself_again(message: Any) -> bool:
    if message.headers.get("retries"):
        return True
    request = getattr(current_task, "request", None) if current_task else None
    return request is not None and request.id == message.headers["id"]


def _entry(name: str, message: Any, options: dict[str, Any]) -> Entry:
    queue = options.get("queue") or options.get("routing_key") or ""
    args, kwargs, _ = message.body
    headers = {**message.headers, **(options.get("headers") or {})}
    return Entry(
        task_id=message.headers["id"],
        task=name,
        queue=getattr(queue, "name", queue),
        digest=digest_of(name, args, kwargs),
        message={
            "headers": headers,
            "properties": dict(message.properties),
            "body": list(message.body),
        },
    )
