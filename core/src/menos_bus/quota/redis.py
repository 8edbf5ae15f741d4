"""The quota store of a fleet: Redis, where each step is one script.

One clock counts, Redis's own, so that hosts whose clocks differ agree about the day and the pace.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis

from menos_bus.quota.store import (
    KEPT_TURN_SECONDS,
    LEASE_SECONDS,
    Answer,
    Day,
    Lease,
    Pace,
    StoreDown,
    Usage,
    Verdict,
)

_PREFIX: Final = "menos:quota:"
_KEPT_SECONDS: Final = 3 * 24 * 3600
"""How long the counts of a day are kept after it."""

_NOW: Final = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end
"""
# KEYS: the day's hash, the lease, the pace, the kept turn. ARGV: a clock for tests, units, allowed
# (or none), when the day starts and ends, how long after it its counts are kept, how long the lease
# lives, interval (or none), burst, patience, and how long a turn is kept. The pace follows the
# generic cell rate algorithm (ITU-T I.371, virtual scheduling).
_RESERVE: Final = (
    _NOW
    + """
local function answer(verdict, used, wait)
  return {verdict, used, string.format('%.6f', wait), string.format('%.6f', now)}
end
if now < tonumber(ARGV[4]) or now >= tonumber(ARGV[5]) then return answer('other_day', 0, 0) end
local used = tonumber(redis.call('HGET', KEYS[1], 'used') or '0')
if redis.call('EXISTS', KEYS[2]) == 1 then return answer('granted', used, 0) end
if redis.call('HEXISTS', KEYS[1], 'closed') == 1 then return answer('closed', used, 0) end
local units, allowed = tonumber(ARGV[2]), tonumber(ARGV[3])
if allowed and used + units > allowed then return answer('exhausted', used, 0) end
local interval, wait = tonumber(ARGV[8]), 0
if interval then
  local kept = redis.call('GETDEL', KEYS[4])
  if kept then
    wait = math.max(0, tonumber(kept) - now)
  else
    local due = math.max(tonumber(redis.call('GET', KEYS[3]) or '0'), now)
    wait = math.max(0, due - (tonumber(ARGV[9]) - 1) * interval - now)
    redis.call('SET', KEYS[3], string.format('%.6f', due + interval), 'EX',
      math.ceil(due + interval - now) + 1)
  end
  if wait > tonumber(ARGV[10]) or now + wait >= tonumber(ARGV[5]) then
    redis.call('SET', KEYS[4], string.format('%.6f', now + wait), 'EX',
      math.ceil(wait) + tonumber(ARGV[11]))
    return answer('too_fast', used, wait)
  end
end
redis.call('SET', KEYS[2], 'open', 'EX', ARGV[7])
used = redis.call('HINCRBY', KEYS[1], 'used', units)
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[5]) - now) + tonumber(ARGV[6]))
return answer('granted', used, wait)
"""
)
_COMMIT: Final = """
if redis.call('GET', KEYS[1]) ~= 'open' then return 0 end
redis.call('SET', KEYS[1], 'spent', 'KEEPTTL')
return 1
"""
# The lease is forgotten, so that the same id could be reserved anew.
_REFUND: Final = """
if redis.call('GET', KEYS[2]) ~= 'open' then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HINCRBY', KEYS[1], 'used', -tonumber(ARGV[1]))
return 1
"""


class RedisQuotaStore:
    """Counts in Redis.

    Args:
        url: ``redis://…``, as ``MENOS_RESULT_BACKEND``.
        clock: for tests, instead of Redis's own; seconds since the epoch.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=10, socket_connect_timeout=5, decode_responses=True
        )
        self._clock = clock
        self._reserve = self._redis.register_script(_RESERVE)
        self._commit = self._redis.register_script(_COMMIT)
        self._refund = self._redis.register_script(_REFUND)

    def now(self) -> float:
        """Redis's clock: seconds since the epoch."""
        if self._clock is not None:
            return self._clock()
        with _answering():
            told: Any = self._redis.time()
        seconds, micros = told
        return float(seconds) + float(micros) / 1e6

    def reserve(self, lease: Lease, allowed: int | None, pace: Pace | None) -> Answer:
        """Count a lease's units, if they fit; see :class:`menos_bus.quota.store.QuotaStore`."""
        day = lease.day
        told: list[Any] = [
            "" if self._clock is None else self._clock(),
            lease.units,
            "" if allowed is None else allowed,
            day.start,
            day.end,
            _KEPT_SECONDS,
            int(LEASE_SECONDS),
            *(("", "", "") if pace is None else (pace.interval, pace.burst, pace.patience)),
            int(KEPT_TURN_SECONDS),
        ]
        own = f"{_PREFIX}{lease.bucket}:"
        turn = f"{own}turn:{'' if pace is None else pace.booking}"
        keys = [_day_key(lease.bucket, day), _lease_key(lease), f"{own}pace", turn]
        with _answering():
            verdict, used, wait, now = self._reserve(keys, told)
        return Answer(Verdict(verdict), int(used), float(wait), float(now))

    def commit(self, lease: Lease) -> bool:
        """Note that the units are spent for good."""
        with _answering():
            return bool(self._commit([_lease_key(lease)]))

    def refund(self, lease: Lease) -> bool:
        """Give the units back, if their lease is still open."""
        keys = [_day_key(lease.bucket, lease.day), _lease_key(lease)]
        with _answering():
            return bool(self._refund(keys, [lease.units]))

    def close(self, bucket: str, day: Day, reason: str) -> None:
        """Grant nothing more of this day."""
        key, keep = _day_key(bucket, day), math.ceil(day.end - self.now()) + _KEPT_SECONDS
        with _answering(), self._redis.pipeline() as both:
            both.hset(key, "closed", reason)
            both.expire(key, keep)
            both.execute()

    def reopen(self, bucket: str, day: Day) -> None:
        """Take back :meth:`close`."""
        with _answering():
            self._redis.hdel(_day_key(bucket, day), "closed")

    def usage(self, bucket: str, day: Day) -> Usage:
        """What was used of a day."""
        with _answering():
            found: Any = self._redis.hmget(_day_key(bucket, day), ["used", "closed"])
        used, closed = found
        return Usage(int(used or 0), closed)


def _day_key(bucket: str, day: Day) -> str:
    return f"{_PREFIX}{bucket}:{day.date}"


def _lease_key(lease: Lease) -> str:
    return f"{_PREFIX}{lease.bucket}:lease:{lease.id}"


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise StoreDown(f"the quota store does not answer: {error}") from error
