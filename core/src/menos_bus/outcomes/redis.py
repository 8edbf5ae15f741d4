"""The ledger of a fleet: one Redis key per accepted call, beside Celery's results.

The broker keeps the messages here, so the ledger only has to tell unknown from waiting and a
repetition from a new call.
"""

from __future__ import annotations

import json
from typing import Any, Final, cast

import redis

from menos_bus.errors import BusUnavailable, CallConflict
from menos_bus.outcomes.ledger import Accepted, Entry

_PREFIX: Final = "menos:call:"
_WAITING_MARGIN: Final = 24 * 3600
"""Seconds that a record outlives a result that is stored at once, for calls that wait long."""


class RedisLedger:
    """Accepted calls in Redis.

    Args:
        url: ``redis://…``, as ``MENOS_RESULT_BACKEND``.
        expires: seconds for which outcomes are kept.
    """

    def __init__(self, url: str, expires: float) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=5)
        self._seconds = int(expires) + _WAITING_MARGIN

    def accept(self, entry: Entry) -> Accepted:
        """Record a call before it is published.

        Raises:
            CallConflict: the id belongs to a call with another task or other arguments.
            BusUnavailable: Redis does not answer.
        """
        try:
            return self._accept(entry)
        except redis.RedisError as error:
            raise BusUnavailable(
                f"the result store does not take calls now ({error}): try again"
            ) from error

    def _accept(self, entry: Entry) -> Accepted:
        key = _PREFIX + entry.task_id
        if self._redis.set(key, _dump(entry), nx=True, ex=self._seconds):
            return Accepted.NEW
        known = self.find(entry.task_id)
        if known is not None and known.digest != entry.digest:
            raise CallConflict.of(entry.task_id)
        return Accepted.REPEATED

    def accept_again(self, entry: Entry) -> None:
        """Keep the record of a call that sends itself again for as long as a new one's."""
        self._redis.set(_PREFIX + entry.task_id, _dump(entry), ex=self._seconds)

    def withdraw(self, task_id: str) -> None:
        """Forget a call that could not be published."""
        self._redis.delete(_PREFIX + task_id)

    def __contains__(self, task_id: str) -> bool:
        return bool(self._redis.exists(_PREFIX + task_id))

    def find(self, task_id: str) -> Entry | None:
        """The record of a call, or ``None``."""
        text = cast("bytes | None", self._redis.get(_PREFIX + task_id))
        if text is None:
            return None
        fields: dict[str, Any] = json.loads(text)
        return Entry(task_id=task_id, message={}, **fields)


def _dump(entry: Entry) -> str:
    # The message itself is the broker's to keep.
    return json.dumps({"task": entry.task, "queue": entry.queue, "digest": entry.digest})
