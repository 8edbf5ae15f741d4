"""The guarded consumer: no message can end the worker, and none is dropped without a trace.

A stock worker dies of nine in 27 odd messages and acknowledges what it cannot decode. Here every
message is read first (:mod:`menos_bus.messages.arrival`): our own go on to Celery, calls from
outside are submitted as at any other door, and the rest becomes a dead letter with a reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from celery import states
from celery.worker.consumer import Consumer
from celery.worker.state import active_requests
from redis import RedisError

from menos_bus.alike import did_you_mean
from menos_bus.errors import BusUnavailable, CallConflict, CallError, TaskFailed
from menos_bus.messages.arrival import Malformed, Outside, Own, read, read_outside
from menos_bus.messages.giving_up import ROUNDS_HEADER, Death, bury, crash_loop, fail, give_up
from menos_bus.messages.publish import LETTERLESS_HEADER
from menos_bus.messages.request import BusRequest
from menos_bus.messages.topology import DEAD_EXCHANGE, plugin_of
from menos_bus.outcomes.ledger import Entry
from menos_bus.outcomes.outcome import Outcome
from menos_bus.tasks.contract import INTERNAL_QUEUE

logger = logging.getLogger(__name__)

_PAUSE: Final = (1.0, 15.0)
"""Seconds before a message that could not be dealt with is looked at again: first, and longest."""


class GuardedConsumer(Consumer):  # type: ignore[misc]  # Celery ships no types
    """Celery's consumer behind a door of its own."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Celery's handler of messages, with ours in front."""
        run = super().create_task_handler(*args, **kwargs)

        def on_message(message: Any) -> None:
            self._guard(message, lambda: self._admit(message, run))

        return on_message

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A body that cannot be decompressed or decoded; Celery would acknowledge and forget it."""
        self._guard(message, lambda: self._bury(message, Malformed(f"body: {exc}")))

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """The broker delivers again what runs here, though no process has died of it."""
        super().on_connection_error_after_connected(exc)
        try:
            for request in list(active_requests):
                if isinstance(request, BusRequest) and not request.outlived:
                    self.app.backend.ledger.outlived(request.id)
                    request.outlived = True
        except Exception as error:  # noqa: BLE001 - the worker must come back all the same
            logger.warning("the lost connection may count as a death: %s", error)

    def _guard(self, message: Any, deal: Callable[[], None], pause: float = _PAUSE[0]) -> None:
        """Deal with a message; if that cannot be done now, keep it unacknowledged and try again."""
        restarts = self.restart_count
        try:
            deal()
        except Exception as error:  # noqa: BLE001 - the worker and the message must survive it
            log = logger.warning if isinstance(error, BusUnavailable) else logger.exception
            log("a message on %s waits %g s: %s", self._queue_of(message), pause, error)

            def again() -> None:
                # After a reconnection the broker has delivered it again.
                if self.restart_count == restarts and not message.acknowledged:
                    self._guard(message, deal, min(pause * 2, _PAUSE[1]))

            self.timer.call_after(pause, again)

    def _admit(self, message: Any, run: Callable[[Any], None]) -> None:
        if message.delivery_info.get("exchange") == DEAD_EXCHANGE:
            self._file(message)
            return
        try:
            call = read(message.headers, message.body)
            if isinstance(call, Own):
                entry = self.app.ledger.find(call.task_id)
                if call.is_of(entry):
                    self._run(message, call, entry, run)
                    return
                # Forged; or the store has lost its record, or a door gave it up that the broker had
                # taken it from.
                call = read_outside(message.headers, message.body)
        except Malformed as malformed:
            self._bury(message, malformed)
        else:
            self._submit(message, call)

    def _submit(self, message: Any, call: Outside) -> None:
        envelope = call.envelope
        try:
            self.app.send_task(call.task, envelope.args, envelope.kwargs, **envelope.options)
        except BusUnavailable:
            raise
        except CallError as error:
            refused = Malformed(
                error.message,
                error.code,
                task=call.task,
                # In a conflict the id is another call's, whose outcome is left alone.
                task_id=None if isinstance(error, CallConflict) else envelope.task_id,
                callback_url=call.callback_url,
            )
            self._bury(message, refused)
        else:
            message.ack()

    def _run(self, message: Any, call: Own, entry: Entry, run: Callable[[Any], None]) -> None:
        if call.task not in self.strategies:
            # This worker serves the queue, so no other host would know the task either.
            reason = f"unknown task {call.task!r}: the plugin of this queue does not register it"
            reason += did_you_mean(call.task, self.app.registry)
            self._bury(
                message,
                Malformed(reason, "unknown_task", task=call.task, task_id=call.task_id),
                own=True,
            )
            return
        if entry.state in states.READY_STATES:
            # It ended, and its worker died before it could tell the broker.
            if entry.state == states.FAILURE and message.delivery_info.get("redelivered"):
                self._end_failed(message, call)
            else:
                message.ack()
            return
        # The bus sends JSON, whatever its way through the dead letters has made of it.
        message.content_type, message.content_encoding = "application/json", "utf-8"
        limit = self.app.settings.delivery_limit
        if entry.starts >= limit and message.delivery_info.get("redelivered"):
            give_up(self.app, call.task, call.task_id, crash_loop(entry.starts))
            self._end_failed(message, call)
            return
        try:
            run(message)
        except (OSError, RedisError, *self.connection_errors, *self.channel_errors):
            raise
        except Exception as error:  # noqa: BLE001 - it would fail at every look, and block others
            reason = f"headers: Celery cannot read them: {type(error).__name__}: {error}"
            malformed = Malformed(reason, task=call.task, task_id=call.task_id)
            self._bury(message, malformed, own=True)

    def _end_failed(self, message: Any, call: Own) -> None:
        """Settle the message of a call whose failure is stored."""
        if self.app.registry.leaves_dead_letter(call.task):
            message.reject()
        else:
            message.ack()

    def _bury(self, message: Any, malformed: Malformed, *, own: bool = False) -> None:
        """File a message that cannot be run, and tell its sender, if there is a way to.

        Args:
            message: it.
            malformed: why.
            own: whether it is the call of the id that it names.
        """
        death = Death(
            malformed.code,
            malformed.reason,
            self._queue_of(message),
            task=malformed.task,
            task_id=malformed.task_id,
            rounds=_rounds(message),
        )
        logger.warning("dead letter on %s: %s", death.queue, death.reason)
        url = self.app.allowed_callback(malformed.callback_url)
        fail(self.app, death, url, message, own=own)
        bury(self.app, message, death)

    def _file(self, message: Any) -> None:
        """File what was rejected, or what the broker gave up: with its outcome as the reason."""
        deaths = (message.headers or {}).get("x-death") or [{}]
        queue = self._known(plugin_of(str(deaths[0].get("queue"))))
        try:
            call = read(message.headers, message.body)
        except Malformed as malformed:
            bury(
                self.app,
                message,
                Death("malformed", malformed.reason, queue, rounds=_rounds(message)),
            )
            return
        why = str(deaths[0].get("reason", "rejected"))
        entry = self.app.ledger.find(call.task_id) if isinstance(call, Own) else None
        if isinstance(call, Outside) or not (entry is None or call.is_of(entry)):
            bury(self.app, message, Death(why, f"the broker gave it up: {why}", queue, call.task))
            return
        if entry is not None:
            # The worker that finds it here need not serve the plugin whose call it was.
            queue = plugin_of(entry.queue)
        if entry is None or entry.state not in states.READY_STATES:
            text = f"the broker gave it up ({why}) after its workers had died too often"
            outcome = TaskFailed(text, "crash_loop" if why == "delivery_limit" else why)
            give_up(self.app, call.task, call.task_id, outcome)
        elif entry.state != states.FAILURE:
            message.ack()  # Another delivery of it has ended well.
            return
        letterless = message.headers.get(LETTERLESS_HEADER)
        if letterless or not self.app.registry.leaves_dead_letter(call.task):
            message.ack()
            return
        error = Outcome.read(self.app, call.task_id).error or {}
        death = Death(
            error.get("code", why),
            error.get("message", why),
            queue,
            task=call.task,
            task_id=call.task_id,
            tries=error.get("tries", 0),
            rounds=entry.rounds if entry else 0,
        )
        bury(self.app, message, death)

    def _queue_of(self, message: Any) -> str:
        """The plugin whose queue a message came from, by its routing key.

        A message for a queue by name has the name itself; one that was delayed has it at the end.
        """
        key = str(message.delivery_info.get("routing_key"))
        return self._known(plugin_of(key.lstrip("01.")))

    def _known(self, plugin: str) -> str:
        """That plugin, if it has a place for its dead letters; otherwise the internal one."""
        return plugin if plugin in self.app.amqp.queues else INTERNAL_QUEUE


def _rounds(message: Any) -> int:
    rounds = (message.headers or {}).get(ROUNDS_HEADER)
    return rounds if isinstance(rounds, int) else 0
