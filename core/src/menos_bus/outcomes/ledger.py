"""The ledger: a record of every accepted call, from acceptance to its terminal state.

It tells *unknown* from *waiting*, makes a repeated submission one execution, and lets a process
that was killed run again what it had accepted. Implementations: :mod:`menos_bus.outcomes.sqlite`
(one machine) and :mod:`menos_bus.outcomes.redis` (a fleet).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol


@dataclass(frozen=True)
class Entry:
    """An accepted call.

    Attributes:
        task_id: its id.
        task: the task's name.
        queue: the queue that it was sent to.
        digest: hash of task and arguments; tells a repetition from another call.
        message: the Celery message as ``{"headers", "properties", "body", "options"}``, so that
            the very same call can be sent again.
        state: a Celery state or ``PROGRESS``.
        accepted_at: seconds since the epoch, set by the ledger.
    """

    task_id: str
    task: str
    queue: str
    digest: str
    message: dict[str, Any] = field(repr=False)
    state: str = "PENDING"
    accepted_at: float = 0.0


class Accepted(Enum):
    """What :meth:`Ledger.accept` found."""

    NEW = "new"
    """The call was not known: publish it."""
    REPEATED = "repeated"
    """The same call was accepted before: do not publish it again."""


class Ledger(Protocol):
    """Where accepted calls are recorded. Thread-safe."""

    def accept(self, entry: Entry) -> Accepted:
        """Record a call before it is published.

        Raises:
            CallConflict: the id belongs to a call with another task or other arguments.
            BusUnavailable: it cannot be recorded now.
        """

    def accept_again(self, entry: Entry) -> None:
        """Replace the message of a call that sends itself again: a retry, a ``replace()``."""

    def withdraw(self, task_id: str) -> None:
        """Forget a call that could not be published; its caller is told so."""

    def __contains__(self, task_id: str) -> bool:
        """Whether a call was ever accepted and has not expired."""

    def find(self, task_id: str) -> Entry | None:
        """The record of a call, or ``None`` if it was never accepted or has expired."""
