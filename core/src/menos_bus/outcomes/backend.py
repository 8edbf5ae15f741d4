"""Celery's result backend over the SQLite ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from celery import states
from celery.backends.base import BaseBackend

from menos_bus.errors import BusUnavailable
from menos_bus.outcomes.sqlite import SQLiteLedger


class LedgerBackend(BaseBackend):  # type: ignore[misc]  # Celery ships no types
    """Stores each state and result in the row that the call was accepted in."""

    # Celery asks for a result again after this many seconds.
    subpolling_interval = 0.05

    def exception_safe_to_retry(self, exc: BaseException) -> bool:
        """A locked file or a full disk passes; the task's outcome must not be lost for it."""
        return isinstance(exc, BusUnavailable)

    @property
    def ledger(self) -> SQLiteLedger:
        """The application's ledger."""
        ledger = self.app.ledger
        assert isinstance(ledger, SQLiteLedger)
        return ledger

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **_: Any,
    ) -> None:
        meta = {
            "status": state,
            "result": result,
            "traceback": traceback,
            "children": self.current_task_children(request),
            "task_id": task_id,
            "date_done": datetime.now(UTC).isoformat() if state in states.READY_STATES else None,
        }
        # Through Celery's serializer, so that what it can store here is what it can store anywhere.
        plain = self.decode(self.encode(meta))
        self.ledger.store(task_id, getattr(request, "task", None) or "", state, plain)
        if state in states.READY_STATES:
            self.app.watchers.ended(task_id)

    def meta(self, task_id: str) -> dict[str, Any]:
        """What is stored of a call."""
        return self._get_task_meta_for(task_id)

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        meta = self.ledger.meta(task_id)
        if meta is None:
            meta = {"status": states.PENDING, "result": None, "traceback": None}
        decoded: dict[str, Any] = self.meta_from_decoded(meta)
        return decoded

    def _forget(self, task_id: str) -> None:
        self.ledger.forget(task_id)

    def _save_group(self, group_id: str, result: Any) -> Any:
        self.ledger.store_group(group_id, self.decode(self.encode(result.as_tuple())))
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        from celery.result import result_from_tuple

        members = self.ledger.group(group_id)
        if members is None:
            return None
        return {"task_id": group_id, "result": result_from_tuple(members, self.app)}

    def _delete_group(self, group_id: str) -> None:
        self.ledger.forget_group(group_id)

    def cleanup(self) -> None:
        """Delete expired results."""
        self.ledger.expire(float(self.expires or 0))
