"""The ledger of a fleet: one Redis hash per accepted call, beside Celery's results.

The broker keeps the messages here. Each change of state is one script, so that a state, its
result and the callback that it owes can never disagree, whoever dies in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import redis
from celery import states

from menos_bus.errors import BusUnavailable, CallConflict, LoginRefused, UnknownTaskId
from menos_bus.outcomes.ledger import ABANDONED_SECONDS, CALLBACK_SECONDS, Accepted, Entry

_PREFIX: Final = "menos:call:"
_RESULT_PREFIX: Final = "celery-task-meta-"
_OWED: Final = "menos:callbacks"
_FAILED_PREFIX: Final = "menos:failed:"
"""The tokens of failed calls that left a dead letter: it stays when their records have expired."""
_WAITING_SECONDS: Final = 30 * 24 * 3600
"""Seconds that a call without a terminal state is kept: longer than any call may wait. So long is
the token of a failed call, too."""
_PATIENCE: Final = 3.0
"""Seconds to wait for another process that is publishing the same call just now."""

_ACCEPT: Final = """
local digest = redis.call('HGET', KEYS[1], 'digest')
if digest then
  if digest ~= ARGV[1] then return 'conflict' end
  if redis.call('HGET', KEYS[1], 'state') ~= 'ACCEPTING' then return 'repeated' end
  if tonumber(ARGV[2]) - tonumber(redis.call('HGET', KEYS[1], 'accepted_at')) < tonumber(ARGV[3])
  then return 'busy' end
end
redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'accepted_at', ARGV[2], 'state', 'ACCEPTING',
  'task', ARGV[5], 'queue', ARGV[6], 'callback_url', ARGV[7], 'token', ARGV[8])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 'new'
"""
_ACCEPT_AGAIN: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'accepted_at', ARGV[2], 'state', 'PENDING',
    'task', ARGV[5], 'queue', ARGV[6], 'callback_url', ARGV[7], 'token', ARGV[8])
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return redis.call('HGET', KEYS[1], 'token') or ''
"""
_PUBLISHED: Final = """
if redis.call('HGET', KEYS[1], 'state') == 'ACCEPTING' then
  redis.call('HSET', KEYS[1], 'state', 'PENDING')
end
"""
_WITHDRAW: Final = """
if redis.call('HGET', KEYS[1], 'state') == 'ACCEPTING' then redis.call('DEL', KEYS[1]) end
"""
# The first terminal state stays: two runs of one call have one outcome.
_STORE: Final = """
local before = redis.call('HGET', KEYS[1], 'state')
if before == 'SUCCESS' or before == 'FAILURE' or before == 'REVOKED' then return 0 end
local keep = tonumber(ARGV[4])
if before then
  redis.call('HSET', KEYS[1], 'state', ARGV[2])
  if ARGV[2] == 'STARTED' then redis.call('HINCRBY', KEYS[1], 'starts', 1) end
  if ARGV[2] == 'RETRY' then redis.call('HSET', KEYS[1], 'starts', 0) end
  if ARGV[3] == '1' then
    if (redis.call('HGET', KEYS[1], 'callback_url') or '') ~= '' then
      redis.call('ZADD', KEYS[3], ARGV[6], ARGV[7])
      keep = math.max(keep, tonumber(ARGV[5]))
    end
    redis.call('EXPIRE', KEYS[1], keep)
  end
  local token = redis.call('HGET', KEYS[1], 'token')
  if ARGV[2] == 'FAILURE' and token and token ~= '' and tonumber(ARGV[8]) > 0 then
    redis.call('SET', KEYS[4], token, 'EX', ARGV[8])
  end
end
redis.call('SET', KEYS[2], ARGV[1], 'EX', keep)
redis.call('PUBLISH', KEYS[2], ARGV[1])
return 1
"""
_OUTLIVED: Final = """
if tonumber(redis.call('HGET', KEYS[1], 'starts') or '0') > 0 then
  redis.call('HINCRBY', KEYS[1], 'starts', -1)
end
"""
_REOPEN: Final = """
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'unknown' end
if state ~= 'FAILURE' then return state end
redis.call('HSET', KEYS[1], 'state', 'PENDING', 'starts', 0)
redis.call('HINCRBY', KEYS[1], 'rounds', 1)
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('DEL', KEYS[2])
return 'reopened'
"""


class RedisLedger:
    """Accepted calls in Redis.

    Args:
        url: ``redis://…``, as ``MENOS_RESULT_BACKEND``.
        expires: seconds for which outcomes are kept.
    """

    def __init__(self, url: str, expires: float) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=10, socket_connect_timeout=5, decode_responses=True
        )
        self._expires = int(expires)
        register = self._redis.register_script
        self._accept = register(_ACCEPT)
        self._accept_again = register(_ACCEPT_AGAIN)
        self._published = register(_PUBLISHED)
        self._withdraw = register(_WITHDRAW)
        self._store = register(_STORE)
        self._outlived = register(_OUTLIVED)
        self._reopen = register(_REOPEN)

    def accept(self, entry: Entry) -> Accepted:
        """Record a call before it is published.

        Raises:
            CallConflict: the id belongs to a call with another task or other arguments.
            BusUnavailable: Redis does not answer, or the same call is being published elsewhere.
        """
        deadline = time.monotonic() + _PATIENCE
        while (answer := self._record(self._accept, entry)) == "busy":
            if time.monotonic() > deadline:
                raise BusUnavailable(
                    f"the call {entry.task_id} is being submitted by somebody else: try again"
                )
            time.sleep(0.02)
        if answer == "conflict":
            raise CallConflict.of(entry.task_id)
        return Accepted(answer)

    def _record(self, script: Callable[..., Any], entry: Entry) -> str:
        told: list[Any] = [
            entry.digest,
            time.time(),
            ABANDONED_SECONDS,
            _WAITING_SECONDS,
            entry.task,
            entry.queue,
            entry.callback_url or "",
            entry.token,
        ]
        with answering():
            return str(script([_PREFIX + entry.task_id], told))

    def published(self, task_id: str) -> None:
        """Note that an accepted call is in the broker's hands."""
        try:
            self._published([_PREFIX + task_id])
        except redis.RedisError:
            # It is accepted: its worker or the next submission will set this right.
            return

    def accept_again(self, entry: Entry) -> str:
        """Record a call that sends itself again, if it is not known any more."""
        return self._record(self._accept_again, entry)

    def withdraw(self, task_id: str) -> None:
        """Forget a call that could not be published."""
        try:
            self._withdraw([_PREFIX + task_id])
        except redis.RedisError:
            return  # A repetition takes it over soon, since it was never published.

    def __contains__(self, task_id: str) -> bool:
        with answering():
            return bool(self._redis.exists(_PREFIX + task_id))

    def find(self, task_id: str) -> Entry | None:
        """The record of a call, or ``None``.

        Raises:
            BusUnavailable: Redis does not answer.
        """
        with answering():
            fields: Any = self._redis.hgetall(_PREFIX + task_id)
        return _entry(task_id, fields) if fields else None

    def store(self, task_id: str, state: str, value: str | bytes, dead_letter: bool = True) -> None:
        """Write a state with its result and the callback that it owes; the first terminal stays.

        Args:
            task_id: the call.
            state: the new state.
            value: the result as Celery encoded it.
            dead_letter: whether a failure may be taken up again when its record has expired.

        Raises:
            redis.RedisError: Redis does not answer.
        """
        ready = state in states.READY_STATES
        told = [value, state, int(ready), self._expires, CALLBACK_SECONDS, time.time(), task_id]
        self._store(
            [_PREFIX + task_id, _RESULT_PREFIX + task_id, _OWED, _FAILED_PREFIX + task_id],
            [*told, _WAITING_SECONDS if dead_letter else 0],
        )

    def outlived(self, task_id: str) -> None:
        """Note that a call runs again for another reason than the death of its process.

        Raises:
            redis.RedisError: Redis does not answer.
        """
        self._outlived([_PREFIX + task_id])

    def reopen(self, task_id: str) -> Entry:
        """Make a failed call wait again, in a new round.

        Raises:
            UnknownTaskId: it is not known.
            CallConflict: it has not failed.
        """
        result = f"{_RESULT_PREFIX}{task_id}"
        with answering():
            answer = self._reopen([_PREFIX + task_id, result, _OWED], [_WAITING_SECONDS, task_id])
        if answer == "unknown":
            raise UnknownTaskId(f"no call with the id {task_id!r} is known any more")
        if answer != "reopened":
            raise CallConflict(f"{task_id} has not failed: it is {answer}")
        entry = self.find(task_id)
        assert entry is not None
        return entry

    def has_failed(self, task_id: str, token: str) -> bool:
        """Whether this is the token of a call that has failed, though its record has expired."""
        with answering():
            known: Any = self._redis.get(_FAILED_PREFIX + task_id)
        return bool(token) and known == token

    def keep(self, task_ids: Sequence[str]) -> None:
        """Let calls that have ended be known for as long as if they had ended just now."""
        with answering(), self._redis.pipeline(transaction=False) as pipeline:
            for task_id in task_ids:
                pipeline.expire(_PREFIX + task_id, self._expires, gt=True)
                pipeline.expire(_RESULT_PREFIX + task_id, self._expires, gt=True)
            pipeline.execute()

    def forget(self, task_id: str) -> None:
        """Delete a call and its result."""
        with answering():
            self._redis.delete(_PREFIX + task_id, _RESULT_PREFIX + task_id)

    def owed_callbacks(self, limit: int = 100) -> list[Entry]:
        """Calls in a terminal state whose callback nobody has taken over yet, oldest first."""
        with answering():
            owed: Any = self._redis.zrange(_OWED, 0, limit - 1)
        entries = []
        for task_id in owed:
            entry = self.find(task_id)
            if entry is None:
                self.callback_taken(task_id)
            else:
                entries.append(entry)
        return entries

    def callback_taken(self, task_id: str) -> None:
        """Note that the delivery of a call's callback is in the broker's hands."""
        with answering():
            self._redis.zrem(_OWED, task_id)


def _entry(task_id: str, fields: dict[str, str]) -> Entry:
    state = fields.get("state", states.PENDING)
    return Entry(
        task_id=task_id,
        task=fields.get("task", ""),
        queue=fields.get("queue", ""),
        digest=fields.get("digest", ""),
        message={},
        callback_url=fields.get("callback_url") or None,
        state=states.PENDING if state == "ACCEPTING" else state,
        accepted_at=float(fields.get("accepted_at", 0)),
        starts=int(fields.get("starts", 0)),
        rounds=int(fields.get("rounds", 0)),
        published=state != "ACCEPTING",
        token=fields.get("token", ""),
    )


@contextmanager
def answering() -> Iterator[None]:
    """Turn what Redis raises when it does not answer into BusUnavailable."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise LoginRefused(
            f"the result store refuses the login ({error}): correct user and password in "
            "MENOS_RESULT_BACKEND"
        ) from error
    except redis.RedisError as error:
        raise BusUnavailable(f"the result store does not answer ({error}): try again") from error
