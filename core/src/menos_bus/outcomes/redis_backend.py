"""Celery's Redis result backend, with every state written through the ledger."""

from __future__ import annotations

from typing import Any

import redis
from celery.backends.redis import RedisBackend

from menos_bus.outcomes.redis import RedisLedger, answering


class RedisLedgerBackend(RedisBackend):  # type: ignore[misc]  # Celery ships no types
    """Stores a state, its result and the callback that it owes in one step."""

    def exception_safe_to_retry(self, exc: BaseException) -> bool:
        """A full or a read-only store passes, too; an outcome must not be lost for it."""
        passing = (redis.exceptions.OutOfMemoryError, redis.exceptions.ReadOnlyError)
        return isinstance(exc, passing) or bool(super().exception_safe_to_retry(exc))

    @property
    def ledger(self) -> RedisLedger:
        """The application's ledger, which is in the same Redis."""
        ledger = self.app.ledger
        assert isinstance(ledger, RedisLedger)
        return ledger

    def meta(self, task_id: str) -> dict[str, Any]:
        """What is stored of a call; Celery would ask a store that is away again and again.

        Raises:
            BusUnavailable: Redis does not answer.
        """
        with answering():
            found: dict[str, Any] = self._get_task_meta_for(task_id)
        return found

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Celery would subscribe to the result of every call that is sent; doors poll instead."""

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **_: Any,
    ) -> Any:
        meta = self._get_result_meta(
            result=result, state=state, traceback=traceback, request=request
        )
        value = self.encode({**meta, "task_id": task_id})
        dead_letter = self.app.registry.leaves_dead_letter(getattr(request, "task", None) or "")
        self.ensure(self.ledger.store, (task_id, state, value, dead_letter))
        return result
