"""The error tree of menos-bus.

    BusError                    every error of this package; carries a stable ``code``
    ├── CallError               a call that was not accepted: nothing was queued
    │   ├── UnknownTask         no installed plugin registers that name
    │   ├── InvalidCall         an argument, field or option is wrong; lists the fields
    │   ├── CallConflict        the task id or idempotency key belongs to another call
    │   └── BusUnavailable      the bus or its broker cannot take calls now
    │       └── LoginRefused    a server wants another user or password
    ├── UnknownTaskId           no call with that id was ever accepted (or it has expired)
    ├── UnknownQuota            no loaded plugin declares a quota of that name
    ├── TaskError               what a task raises to say how its failure is to be treated
    │   ├── Permanent           will fail again: not retried
    │   │   └── QuotaExceeded   a quota has nothing left for this call today
    │   ├── Retryable           may pass later: retried, after ``after`` seconds if given
    │   └── Deferred            did not fail: put back, which costs it none of its tries
    ├── TaskFailed              how a task ended: code, message and number of tries
    ├── PluginError             a plugin declares something that the bus cannot take
    │   └── NameTaken           a name that it gives is another plugin's
    └── SettingsError           a setting is missing or wrong

Any other exception whose class has a ``code: str`` and a ``retryable: bool`` is treated like a
:class:`TaskError`: a library can state how its errors are to be treated without importing this
package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple


class BusError(Exception):
    """Base of all errors of menos-bus. ``code`` is stable and meant for programs."""

    code: str = "bus_error"

    @property
    def message(self) -> str:
        """The text for a person."""
        return str(self.args[0]) if self.args else self.code


class CallError(BusError):
    """A call that was not accepted. Nothing was queued."""

    code = "call_error"
    status: ClassVar[int] = 400
    """The HTTP status that a door answers with."""


class UnknownTask(CallError):
    """No installed plugin registers a task of that name."""

    code = "unknown_task"
    status = 404


class FieldProblem(NamedTuple):
    """One thing that is wrong with a call: the field's path and the reason."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class InvalidCall(CallError):
    """An argument, a field or an option of a call is wrong."""

    code = "invalid_call"
    status = 422

    def __init__(self, problems: Sequence[Sequence[str]]) -> None:
        # Plain lists in `args`, so that the error passes through every Celery result backend.
        super().__init__([list(problem) for problem in problems])
        self.problems = [FieldProblem(*problem) for problem in problems]

    @property
    def message(self) -> str:
        """Every problem, as ``field: reason``."""
        return "; ".join(map(str, self.problems))

    def __str__(self) -> str:
        return self.message


class CallConflict(CallError):
    """The task id or the idempotency key was used before with other arguments."""

    code = "conflict"
    status = 409

    @classmethod
    def of(cls, task_id: str) -> CallConflict:
        """The conflict about this id."""
        return cls(
            f"{task_id}: this task id or idempotency key was used before for another call; take a "
            "new one, or repeat the call with the same arguments"
        )


class BusUnavailable(CallError):
    """The bus or its broker cannot take calls now. Nothing was queued: try again."""

    code = "unavailable"
    status = 503


class LoginRefused(BusUnavailable):
    """A server wants another user or password, and will until somebody corrects them."""


class UnknownTaskId(BusError):
    """No call with that id was ever accepted, or its record has expired."""

    code = "unknown_task_id"


class UnknownQuota(BusError):
    """No loaded plugin declares a quota of that name."""

    code = "unknown_quota"


class TaskError(BusError):
    """What a task raises to say how its failure is to be treated."""

    code = "task_error"
    retryable: ClassVar[bool]
    nothing_spent = False
    """Whether it says that a quota has refused, before anything was used."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class Permanent(TaskError):
    """The task would fail again in the same way: it is not retried.

    Args:
        message: what is wrong and what to do, for a person.
        code: a stable word for programs, in snake_case.
    """

    code = "permanent"
    retryable = False


class QuotaExceeded(Permanent):
    """A quota has nothing left for this call today; the message says when it resets."""

    code = "quota_exceeded"


class Retryable(TaskError):
    """The task may pass later: it is retried, up to its ``max_retries`` (``MENOS_MAX_RETRIES``).

    Args:
        message: what is wrong, for a person.
        code: a stable word for programs, in snake_case.
        after: seconds until the next try; by default exponential backoff decides.
    """

    code = "retryable"
    retryable = True

    def __init__(self, message: str, code: str | None = None, after: float | None = None) -> None:
        super().__init__(message, code)
        self.after = after


class Deferred(TaskError):
    """The task cannot go on now, and did not fail: it is put back, and run again from its start.

    It costs the task none of its tries, however often it happens. What the task did before must
    be repeatable.

    Args:
        message: what it waits for, for a person.
        code: a stable word for programs, in snake_case.
        after: seconds until it is run again, at least 1.
        progress: ``(stage, done, total)``. With it, callers see the state ``PROGRESS`` while it
            waits; without it, ``RETRY`` with the code and the message.
    """

    code = "deferred"
    retryable = True

    def __init__(
        self,
        message: str,
        code: str | None = None,
        *,
        after: float = 60.0,
        progress: tuple[str, int, int | None] | None = None,
    ) -> None:
        super().__init__(message, code)
        self.after = after
        self.progress = progress


class TaskFailed(BusError):
    """How a task ended: the last error's code and message, and how often it was tried.

    All are in ``args``, so that the error passes through every Celery result backend.

    Args:
        message: the text for a person.
        code: a stable word for programs.
        tries: how often it was tried.
        progress: ``(stage, done, total)`` of a task that only waits.
    """

    def __init__(
        self,
        message: str,
        code: str = "internal_error",
        tries: int = 1,
        progress: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(message, code, tries, *([] if progress is None else [list(progress)]))
        self.code = code
        self.tries = tries
        self.progress = progress

    def __str__(self) -> str:
        return f"{self.message} ({self.code}, after {self.tries} {_times(self.tries)})"


def _times(n: int) -> str:
    return "try" if n == 1 else "tries"


class PluginError(BusError):
    """A plugin declares something that the bus cannot take."""

    code = "plugin_error"


class NameTaken(PluginError):
    """A plugin gives a name that is another plugin's."""


class SettingsError(BusError):
    """A setting is missing or wrong. The message names the environment variable."""

    code = "settings"
