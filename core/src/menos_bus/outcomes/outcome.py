"""The outcome of a call, in the words that every door uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from celery import states
from celery.exceptions import (
    SoftTimeLimitExceeded,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)

from menos_bus.errors import BusError, TaskFailed
from menos_bus.tasks.progress import PROGRESS

_CODES: Final[dict[type[BaseException], str]] = {
    WorkerLostError: "worker_lost",
    TaskRevokedError: "revoked",
}


@dataclass(frozen=True)
class Outcome:
    """What is known of a call now.

    Attributes:
        task_id: its id.
        state: a Celery state (``PENDING``, ``STARTED``, ``RETRY``, ``SUCCESS``, ``FAILURE``,
            ``REVOKED``) or ``PROGRESS``.
        result: the return value, when it succeeded.
        error: ``{"code", "message", "tries"}`` when it failed or is being retried.
        progress: ``{"stage", "done", "total"}`` while it runs and says so.
        done_at: when it reached its terminal state; ISO 8601.
    """

    task_id: str
    state: str
    result: Any = None
    error: dict[str, Any] | None = None
    progress: dict[str, Any] | None = None
    done_at: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the state is terminal."""
        return self.state in states.READY_STATES

    @property
    def silent(self) -> bool:
        """Whether no worker has said anything of it: it waits, or there is no such call."""
        return bool(self.state == states.PENDING)

    @classmethod
    def from_meta(cls, task_id: str, meta: dict[str, Any]) -> Outcome:
        """Read what a Celery result backend stored."""
        state, result = meta["status"], meta.get("result")
        if state == PROGRESS:
            return cls(task_id, state, progress=result)
        if state == states.RETRY and isinstance(result, TaskFailed) and result.progress:
            # It is between two runs and nothing went wrong: it waits, and says for how much.
            named = dict(zip(("stage", "done", "total"), result.progress, strict=True))
            return cls(task_id, PROGRESS, progress=named)
        done_at = meta.get("date_done")
        if state in states.EXCEPTION_STATES:
            return cls(task_id, state, error=_explain(result), done_at=done_at)
        if state == states.SUCCESS:
            return cls(task_id, state, result=result, done_at=done_at)
        return cls(task_id, state)

    @classmethod
    def read(cls, app: Any, task_id: str) -> Outcome:
        """The outcome of a call as it is stored now.

        Raises:
            BusUnavailable: the store does not answer.
        """
        return cls.from_meta(task_id, app.backend.meta(task_id))

    def as_json(self) -> dict[str, Any]:
        """The outcome in JSON types; ``result``, ``error``, ``progress`` only where they apply."""
        shown: dict[str, Any] = {"task_id": self.task_id, "state": self.state}
        if self.state == states.SUCCESS:
            shown["result"] = self.result
        if self.error is not None:
            shown["error"] = self.error
        if self.progress is not None:
            shown["progress"] = self.progress
        return shown


def _explain(error: Any) -> dict[str, Any]:
    if isinstance(error, TaskFailed):
        return {"code": error.code, "message": error.message, "tries": error.tries}
    if isinstance(error, BusError):
        return {"code": error.code, "message": error.message, "tries": 1}
    if isinstance(error, (TimeLimitExceeded, SoftTimeLimitExceeded)):
        limit = f" {error.args[0]:g} s" if error.args else " its time limit"
        return {"code": "time_limit", "message": f"ran longer than{limit}", "tries": 1}
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), None)
    return {
        "code": code or "internal_error",
        "message": str(error) or type(error).__name__,
        "tries": 1,
    }
