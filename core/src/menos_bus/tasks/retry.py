"""When a failed task is tried again, and when it is not."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any, Final

from menos_bus.errors import BusError, BusUnavailable, CallError, PluginError

LONGEST_WAIT: Final = 7 * 24 * 3600.0
"""Seconds that a task may ask to wait before its next try."""

MAX_RETRIES: Final = 7
"""Retries of what says that it may pass: with the usual waits a server may be away for a minute."""
UNEXPECTED_RETRIES: Final = 3
"""Retries of an exception that says nothing of itself: mostly a defect, to be seen in seconds."""


@dataclass(frozen=True)
class Failure:
    """What an exception means: its code, its text, and whether another try can help."""

    code: str
    message: str
    retryable: bool
    after: float | None = None
    expected: bool = True
    """False for an exception that no task or library classified: a traceback is worth a log."""


@dataclass(frozen=True)
class RetryPolicy:
    """A task's retry options, under Celery's names.

    Attributes:
        max_retries: tries after the first one; ``None`` for no end.
        unexpected_retries: the same for an exception that nobody classified.
        retry_backoff: seconds before the first retry; each further wait doubles.
        retry_backoff_max: the longest wait in seconds.
        retry_jitter: whether a wait is drawn between half and the whole of it, so that many
            failed tasks do not come back at one moment.
        autoretry_for: exception classes that are retried.
        dont_autoretry_for: exception classes that are not, though ``autoretry_for`` has them.
    """

    max_retries: int | None = MAX_RETRIES
    retry_backoff: float = 1.0
    retry_backoff_max: float = 600.0
    retry_jitter: bool = True
    autoretry_for: tuple[type[BaseException], ...] = (Exception,)
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    unexpected_retries: int | None = UNEXPECTED_RETRIES

    @classmethod
    def pop_from(cls, options: dict[str, Any], max_retries: int = MAX_RETRIES) -> RetryPolicy:
        """Take the retry options out of a task's options.

        Args:
            options: the task's; ``max_retries`` among them counts for every failure.
            max_retries: the setting, for a task without that option.

        Raises:
            PluginError: an option is not what Celery takes under its name.
        """
        names = cls.__dataclass_fields__.keys() - {"unexpected_retries"}
        given = {name: options.pop(name) for name in names if name in options}
        for name in ("autoretry_for", "dont_autoretry_for"):
            if name in given:
                given[name] = _classes(name, given[name])
        for name in ("max_retries", "retry_backoff", "retry_backoff_max"):
            value = given.get(name)
            if value is not None and not isinstance(value, (int, float)):
                raise PluginError(f"{name}: must be a number, not {value!r}")
        if given.get("retry_backoff") is True:  # Celery's spelling of "1 second"
            given["retry_backoff"] = 1.0
        few = given.get("max_retries", min(max_retries, UNEXPECTED_RETRIES))
        return cls(**{"max_retries": max_retries, "unexpected_retries": few, **given})

    def classify(self, error: BaseException) -> Failure:
        """Say what an exception from a task's function means.

        An exception with a ``code`` and a ``retryable`` speaks for itself (see
        :mod:`menos_bus.errors`); others go by their class.
        """
        if isinstance(error, CallError):
            # The task called another one: only what the bus cannot take *now* may pass later.
            passing = isinstance(error, BusUnavailable)
            return Failure(error.code, error.message, retryable=passing)
        message = str(error) or type(error).__name__
        code = getattr(error, "code", None)
        retryable = getattr(error, "retryable", None)
        if isinstance(code, str) and isinstance(retryable, bool):
            if isinstance(error, BusError):
                message = error.message
            return Failure(code, message, retryable, _seconds(getattr(error, "after", None)))
        wanted = isinstance(error, self.autoretry_for)
        unwanted = isinstance(error, self.dont_autoretry_for)
        return Failure(
            "internal_error",
            f"{type(error).__name__}: {message}",
            retryable=wanted and not unwanted,
            expected=False,
        )

    def wait(self, retries: int, failure: Failure) -> int | None:
        """Seconds until the next try, or ``None`` if there is none.

        Args:
            retries: how many retries there were already.
            failure: what :meth:`classify` said.

        Whole seconds from 1 up, since Celery's delayed delivery refuses a countdown below 1.
        """
        most = self.max_retries if failure.expected else self.unexpected_retries
        if not failure.retryable or (most is not None and retries >= most):
            return None
        if (after := _seconds(failure.after)) is not None:
            return max(1, round(min(after, LONGEST_WAIT)))
        longest = min(self.retry_backoff_max, self.retry_backoff * 2.0 ** min(retries, 32))
        jitter = random.uniform(0.5, 1.0) if self.retry_jitter else 1.0  # noqa: S311 - no secret
        return max(1, round(longest * jitter))


def _classes(option: str, value: Any) -> tuple[type[BaseException], ...]:
    classes = tuple(value) if isinstance(value, (list, tuple, set)) else (value,)
    for item in classes:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise PluginError(f"{option}: must list exception classes, not {item!r}")
    return classes


def _seconds(after: Any) -> float | None:
    """A library's own idea of the wait, if it is one: the failure must not hang on it."""
    if isinstance(after, (int, float)) and math.isfinite(after):
        return float(after)
    return None
