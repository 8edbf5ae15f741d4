"""The ledger: a record of every accepted call, from acceptance to its terminal state.

It tells *unknown* from *waiting*, makes a repeated submission one execution, and lets a process
that was killed run again what it had accepted. Implementations: :mod:`menos_bus.outcomes.sqlite`
(one machine) and :mod:`menos_bus.outcomes.redis` (a fleet).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol

ACCEPTED_HEADER: Final = "menos_accepted"
"""The header of a message of this bus: the token of its call."""


@dataclass(frozen=True)
class Entry:
    """An accepted call.

    Attributes:
        task_id: its id.
        task: the task's name.
        queue: the queue that it was sent to.
        digest: hash of task and arguments; tells a repetition from another call.
        message: the Celery message as ``{"headers", "properties", "body"}``, so that the very same
            call can be sent again; empty where the broker keeps it.
        callback_url: where the outcome is to be sent, if anywhere.
        state: a Celery state or ``PROGRESS``.
        accepted_at: seconds since the epoch, set by the ledger.
        starts: how often a worker began to run it since it was last sent.
        rounds: how often it was taken up again after it had failed.
        published: whether its message is known to be in the broker's hands, or will be sent by
            whoever serves the ledger. One that is not, and was accepted a while ago, belongs to a
            process that died: submitting the call once more sends it.
        token: what its message says in :data:`ACCEPTED_HEADER`. Who cannot read the ledger cannot
            send another message in the call's name. Empty for calls that were accepted before there
            were tokens.
    """

    task_id: str
    task: str
    queue: str
    digest: str
    message: dict[str, Any] = field(repr=False)
    callback_url: str | None = None
    state: str = "PENDING"
    accepted_at: float = 0.0
    starts: int = 0
    rounds: int = 0
    published: bool = True
    token: str = field(default="", repr=False)


ABANDONED_SECONDS: Final = 30.0
"""After this, a call that was recorded but not published belongs to a process that died."""

CALLBACK_SECONDS: Final = 5 * 24 * 3600
"""Seconds that an outcome is kept at least while its callback may still be tried."""


class Accepted(Enum):
    """What :meth:`Ledger.accept` found."""

    NEW = "new"
    """The call was not known: publish it."""
    REPEATED = "repeated"
    """The same call was accepted before: do not publish it again."""


class Ledger(Protocol):
    """Where accepted calls are recorded. Thread-safe.

    Every method may raise :class:`~menos_bus.BusUnavailable`: the store cannot be used now.
    """

    def accept(self, entry: Entry) -> Accepted:
        """Record a call before it is published.

        Raises:
            CallConflict: the id belongs to a call with another task or other arguments.
        """

    def published(self, task_id: str) -> None:
        """Note that an accepted call is in the broker's hands."""

    def accept_again(self, entry: Entry) -> str:
        """Replace the message of a call that sends itself again: a retry, a ``replace()``.

        Returns:
            The token that the message is to have.
        """

    def withdraw(self, task_id: str) -> None:
        """Forget a call that could not be published; its caller is told so."""

    def __contains__(self, task_id: str) -> bool:
        """Whether a call was ever accepted and has not expired."""

    def find(self, task_id: str) -> Entry | None:
        """The record of a call, or ``None`` if it was never accepted or has expired."""

    def reopen(self, task_id: str) -> Entry:
        """Make a failed call wait again, in a new round.

        Raises:
            UnknownTaskId: it is not known.
            CallConflict: it has not failed.
        """

    def keep(self, task_ids: Sequence[str]) -> None:
        """Let calls that have ended be known for as long as if they had ended just now."""

    def forget(self, task_id: str) -> None:
        """Delete a call and its result."""

    def owed_callbacks(self, limit: int = 100) -> list[Entry]:
        """Calls in a terminal state whose callback nobody has taken over yet, oldest first."""

    def callback_taken(self, task_id: str) -> None:
        """Note that the delivery of a call's callback is in the broker's hands."""
