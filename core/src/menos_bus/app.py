"""The Celery application of a bus: every way to send a task passes its validation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from celery import Celery
from celery.result import AsyncResult, EagerResult
from kombu.entity import Queue

from menos_bus.callbacks.guard import Forbidden, Guard
from menos_bus.callbacks.signing import Signer
from menos_bus.errors import FieldProblem, InvalidCall
from menos_bus.messages.publish import (
    AHEAD_HEADER,
    CALLBACK_HEADER,
    LETTERLESS_HEADER,
    PRIORITY_HEADER,
)
from menos_bus.messages.topology import queue_name, queues
from menos_bus.outcomes.ledger import Ledger
from menos_bus.outcomes.watch import Watchers
from menos_bus.plugins.extensions import Extensions
from menos_bus.plugins.hooks import Hooks
from menos_bus.quota.gate import Gate
from menos_bus.settings import BusSettings
from menos_bus.tasks.contract import core_queue, owner_of
from menos_bus.tasks.envelope import Call, foreign_call, validate_call
from menos_bus.tasks.register import Registry


class BusApp(Celery):  # type: ignore[misc]  # Celery ships no types
    """Celery with the bus's registry and ledger; otherwise Celery stays Celery."""

    amqp_cls = "menos_bus.messages.publish:LedgerAMQP"

    registry: Registry
    settings: BusSettings
    hooks: Hooks
    extensions: Extensions
    """What plugins offer to each other."""
    gate: Gate
    """Decides about each use of a quota."""
    watchers: Watchers
    """Those in this process who wait for calls to end."""
    open_ledger: Callable[[], Ledger]
    callback_guard: Guard
    """Where callbacks may go."""
    callback_signer: Signer | None
    """Signs callbacks; ``None`` without a secret."""

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, opened when it is first needed: listing and checking leave no trace."""
        return self.open_ledger()

    def send_task(
        self,
        name: str,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        **options: Any,
    ) -> AsyncResult:
        """Check, record and publish a call; ``apply_async`` and every canvas end here too.

        Raises:
            CallError: nothing was queued; the subclass says why.
        """
        # Without a result nobody would know that the call has ended, the ledger neither.
        options["ignore_result"] = False
        self._leave_limits_to_the_worker(name, options)
        if (queue := core_queue(name)) is not None:
            options["queue"] = queue
            return super().send_task(name, args, kwargs, task_id=task_id, **options)
        call, plugin = self.check(name, args or (), kwargs or {})
        if task_id and call.task_id:
            problem = "cannot be combined with a task id, which the members of a canvas have too"
            raise InvalidCall([FieldProblem("idempotency_key", problem)])
        headers = dict(options.pop("headers", None) or {})
        if call.priority:
            headers[PRIORITY_HEADER] = True
        if not self.registry.leaves_dead_letter(name):
            headers[LETTERLESS_HEADER] = True
        if call.callback_url is not None:
            try:
                self.callback_guard.check(call.callback_url)
            except Forbidden as forbidden:
                raise InvalidCall([FieldProblem("callback_url", str(forbidden))]) from None
            headers[CALLBACK_HEADER] = call.callback_url
        ahead = bool(headers.get(PRIORITY_HEADER) or headers.get(AHEAD_HEADER))
        options["queue"] = self._queue(plugin, priority=ahead)
        return super().send_task(
            name,
            (),
            call.kwargs,
            task_id=task_id or call.task_id,
            headers=headers,
            **options,
        )

    def _leave_limits_to_the_worker(self, name: str, options: dict[str, Any]) -> None:
        """Celery would send this host's limits along, and they would win over the worker's own."""
        task = self.tasks.get(name)
        for limit in ("time_limit", "soft_time_limit"):
            given = options.get(limit)
            options[limit] = None if given == getattr(task, limit, None) else given

    def run_in_place(
        self, name: str, args: Any, kwargs: Any, task_id: str | None = None
    ) -> EagerResult:
        """Run a call here and now, for tests; its retries follow at once, without their waits.

        Raises:
            CallError: the task is unknown, or an argument is wrong.
        """
        call = validate_call(self.registry[name], args, kwargs)
        headers = {PRIORITY_HEADER: True} if call.priority else {}
        return self.tasks[name].apply(kwargs=call.kwargs, headers=headers, task_id=task_id)

    def allowed_callback(self, url: str | None) -> str | None:
        """The URL, if callbacks may go there."""
        try:
            if url is not None:
                self.callback_guard.check(url)
        except Forbidden:
            return None
        return url

    def check(self, name: str, args: Any, kwargs: Any) -> tuple[Call, str]:
        """Check a call as sending it would, as far as its task is known here.

        Returns:
            The call, and the plugin that it is for.

        Raises:
            CallError: it would not be taken.
        """
        plugin = owner_of(name)
        # Another host may have a plugin that is not installed here; embedded there is none.
        if plugin is None or plugin in self.registry.plugins or self.settings.embedded:
            spec = self.registry[name]
            return validate_call(spec, args, kwargs), spec.plugin
        return foreign_call(name, args, kwargs), plugin

    def _queue(self, plugin: str, *, priority: bool) -> Queue:
        name = queue_name(plugin, priority=priority)
        if name not in self.amqp.queues:
            # Declared as its own host declares it, so that the call waits there for that host.
            for queue in queues([plugin], embedded=False):
                self.amqp.queues.add(queue)
        found: Queue = self.amqp.queues[name]
        return found
