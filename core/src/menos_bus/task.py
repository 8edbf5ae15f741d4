"""How a task runs: its arguments are checked, its failure classified, its outcome told."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Final, NoReturn

from celery import Signature, Task, states
from celery.exceptions import (
    Ignore,
    Reject,
    Retry,
    SoftTimeLimitExceeded,
    WorkerShutdown,
    WorkerTerminate,
)

from menos_bus.callbacks.outbox import submit_owed
from menos_bus.errors import Deferred, TaskFailed
from menos_bus.messages.publish import AHEAD_HEADER, CALLBACK_HEADER, PRIORITY_HEADER
from menos_bus.plugins.hooks import Hooks
from menos_bus.plugins.hookspecs import Proceed, Wait
from menos_bus.tasks.envelope import split_reserved
from menos_bus.tasks.register import TaskSpec
from menos_bus.tasks.retry import LONGEST_WAIT, Failure, RetryPolicy

logger = logging.getLogger(__name__)

_ASKS_AT_ONCE: Final = 10
"""How often a gate is asked by a run that cannot wait, before it fails."""


class BusTask(Task):  # type: ignore[misc]  # Celery ships no types
    """The Celery task class of every registered function."""

    abstract = True
    Request = "menos_bus.messages.request:BusRequest"
    # The bus checks arguments itself, with the reserved ones that Celery knows nothing of.
    typing = False
    # When to stop is the policy's to say.
    max_retries = None
    # A failure that was classified is told once, by its outcome; see _fail for the others.
    throws = (TaskFailed,)

    spec: ClassVar[TaskSpec]
    policy: ClassVar[RetryPolicy]
    hooks: ClassVar[Hooks]

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Check the arguments, pass the quota gate and call the plugin's function."""
        signature = self.spec.signature
        try:
            _, arguments = split_reserved(signature.bind(args, kwargs))
            if signature.takes_priority and ("priority" in kwargs or self.priority_call):
                arguments["priority"] = kwargs.get("priority", True)
            values = signature.validate(arguments)
            self._pass_gate()
            call = [self] if self.spec.options.get("bind") else []
            try:
                return signature.dump(self.spec.function(*call, **values))
            except Deferred:
                # What it waits for may need what it holds.
                self.hooks.release_quota(task=self.name, task_id=self.request.id, state="RETRY")
                raise
        except (Ignore, Reject, Retry, TaskFailed, WorkerShutdown, WorkerTerminate):
            raise
        except Deferred as deferred:
            self._defer(deferred)
        except SoftTimeLimitExceeded:
            limit = (self.request.timelimit or (None, None))[1] or self.soft_time_limit
            self._fail(Failure("time_limit", f"ran longer than {limit} s", retryable=False))
        except BaseException as error:  # noqa: BLE001 - Celery would end or block the worker
            self._fail(self.policy.classify(error), error)

    @property
    def priority_call(self) -> bool:
        """Whether the running call was made with ``priority=True``."""
        return bool((self.request.headers or {}).get(PRIORITY_HEADER))

    def _pass_gate(self) -> None:
        answer = self._ask_gate()
        for _ in range(_ASKS_AT_ONCE):
            if not isinstance(answer, Wait) or not self._runs_in_place:
                break
            answer = self._ask_gate()
        if isinstance(answer, Wait):
            raise Deferred(answer.reason, "waiting_for_quota", after=answer.seconds)

    def _ask_gate(self) -> Proceed | Wait | None:
        return self.hooks.acquire_quota(
            task=self.name, task_id=self.request.id or "", priority=self.priority_call
        )

    @property
    def _runs_in_place(self) -> bool:
        """Whether no worker runs it: nobody could wait (see :mod:`menos_bus.testing`)."""
        return bool(self.request.is_eager or self.request.called_directly)

    def _defer(self, deferred: Deferred) -> NoReturn:
        # The call itself did not fail, so waiting costs it none of its tries.
        tries = self.request.retries
        reason = TaskFailed(deferred.message, deferred.code, tries, deferred.progress)
        if self._runs_in_place:
            raise reason
        countdown = max(1, round(min(deferred.after, LONGEST_WAIT)))
        again = self.signature_from_request(self.request, countdown=countdown, retries=tries)
        again.options.pop("expires", None)  # it has begun in time, and only waits
        if deferred.progress is not None:
            headers = again.options.get("headers") or {}
            again.options["headers"] = {**headers, AHEAD_HEADER: True}
        self._send_again(again, reason, countdown)

    def _fail(self, failure: Failure, error: BaseException | None = None) -> NoReturn:
        tries = self.request.retries + 1
        outcome = TaskFailed(failure.message, failure.code, tries)
        wait = self.policy.wait(self.request.retries, failure)
        if not failure.expected and wait is None:
            logger.error("%s %s: %s", self.name, self.request.id, failure.message, exc_info=error)
        elif not failure.expected:
            told = (self.name, self.request.id, failure.message, wait)
            logger.warning("%s %s: %s; next try in %s s", *told)
        if wait is None or self.request.called_directly:
            raise outcome from error
        again = self.signature_from_request(self.request, countdown=wait, retries=tries)
        self._send_again(again, outcome, wait)

    def _send_again(self, again: Signature, reason: TaskFailed, countdown: int) -> NoReturn:
        if not self.request.is_eager:
            try:
                again.apply_async()
            except Exception as error:
                # Not sent again, so it must not count as handled: the broker keeps it.
                raise Reject(error, requeue=True) from error
        # Without the exceptions that led here: a monitor shows them as if something had crashed.
        raise Retry(exc=reason, when=countdown, is_eager=self.request.is_eager, sig=again) from None

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Tell the plugins, once per terminal state, after it is stored."""
        if status not in states.READY_STATES:
            return
        if (self.request.headers or {}).get(CALLBACK_HEADER):
            try:
                submit_owed(self.app)
            except Exception as error:  # noqa: BLE001 - a worker's next look will do it
                logger.warning("the callback of %s waits: %s", task_id, error)
        told = {"task": self.name, "task_id": task_id, "state": status}
        self.hooks.release_quota(**told)
        self.hooks.task_finished(**told, result=retval if status == states.SUCCESS else None)
