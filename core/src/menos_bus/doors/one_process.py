"""What a single process of a fleet has inside: no second worker may have one of its own.

Who serves such a thing holds a lease in the result store, which every worker of a fleet knows. A
worker that is stopped gives it back; after one that has died it ends by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import celery.worker.state
import redis

from menos_bus.bus import Bus
from menos_bus.errors import BusUnavailable, SettingsError
from menos_bus.outcomes.redis import answering
from menos_bus.tasks.register import TaskSpec

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 10.0
"""How long a worker that has died keeps others from starting."""
_RENEW_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.2
_EX_TEMPFAIL: Final = 75  # as in `os`, but not on Windows

# KEYS: where to enter, then where nobody else may be. ARGV: who, and for how long. Each is a set of
# workers, by the time until which they are known to live.
_ENTER: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
for number = 2, #KEYS do
  local living = redis.call('ZRANGEBYSCORE', KEYS[number], now, '+inf', 'WITHSCORES')
  for place = 1, #living, 2 do
    if living[place] ~= ARGV[1] then return {living[place], living[place + 1]} end
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[2])))
return false
"""


def reasons(tasks: Iterable[TaskSpec]) -> dict[str, tuple[str, str | None]]:
    """What tasks say must be in one process only: by its name, a task and why, if it must.

    Args:
        tasks: those that a worker serves.
    """
    found: dict[str, tuple[str, str | None]] = {}
    for task in tasks:
        for what, why in task.one_process.items():
            if what not in found or found[what][1] is None:
                found[what] = (task.name, why())
    return found


class Leases:
    """Who has what inside, or shares it with others at a server.

    Args:
        bus: a bus with fleet settings.
    """

    def __init__(self, bus: Bus) -> None:
        self._redis = redis.Redis.from_url(
            str(bus.settings.result_backend),
            socket_timeout=10,
            socket_connect_timeout=5,
            decode_responses=True,
        )
        self._enter = self._redis.register_script(_ENTER)
        # Two fleets may keep their results in one store; the broker's host has many names. A Redis
        # calls its database 0 by several, too.
        self._fleet = bus.app.connection_for_write().virtual_host.strip("/") or "0"

    def enter(self, worker: str, what: str, *, inside: bool) -> tuple[str, float] | None:
        """Hold a lease, or hold it longer.

        Args:
            worker: its name.
            what: a thing that tasks have named.
            inside: whether the worker's process has it for itself.

        Returns:
            A worker that keeps this one out, and until when it is known to live.

        Raises:
            BusUnavailable: the store does not answer.
        """
        own, others = self._key(what, inside=inside), self._key(what, inside=not inside)
        keys = [own, own, others] if inside else [own, others]
        with answering():
            other: Any = self._enter(keys, [worker, LEASE_SECONDS])
        return None if other is None else (other[0], float(other[1]))

    def leave(self, worker: str, what: str) -> None:
        """Give a lease back."""
        try:
            for inside in (True, False):
                self._redis.zrem(self._key(what, inside=inside), worker)
        except redis.RedisError:
            return  # It ends by itself.

    def inside(self, what: str) -> list[str]:
        """The workers that have it inside.

        Raises:
            BusUnavailable: the store does not answer.
        """
        with answering():
            now: Any = self._redis.time()
            found: Any = self._redis.zrangebyscore(self._key(what, inside=True), now[0], "+inf")
        return list(found)

    def _key(self, what: str, *, inside: bool) -> str:
        return f"menos:one_process:{self._fleet}:{what}:{'inside' if inside else 'outside'}"


@contextmanager
def held(bus: Bus, worker: str, tasks: Iterable[TaskSpec]) -> Iterator[None]:
    """Hold the leases of what these tasks say, as long as the block runs.

    Another worker that finds one taken, since this process was halted for longer than it lasts,
    serves it from then on: this one ends.

    Args:
        bus: a bus with fleet settings.
        worker: its name.
        tasks: those that it serves.

    Raises:
        SettingsError: another worker has one of them inside, or would have it elsewhere; names it.
        BusUnavailable: the store does not answer.
    """
    wanted = reasons(tasks)
    if not wanted:
        yield
        return
    leases, ended = Leases(bus), threading.Event()
    renewal = threading.Thread(
        target=_renew, args=(leases, worker, wanted, ended), name="one process", daemon=True
    )
    try:
        for what, (task, why) in wanted.items():
            if (other := _wait(leases, worker, what, inside=why is not None)) is not None:
                raise SettingsError(_refusal(task, what, why, other))
        renewal.start()
        yield
    finally:
        ended.set()
        if renewal.is_alive():
            renewal.join()
        for what in wanted:
            leases.leave(worker, what)


def _wait(leases: Leases, worker: str, what: str, *, inside: bool) -> str | None:
    """Enter, if need be when the lease of one that has died has ended; or who lives, and is in."""
    seen: dict[str, float] = {}
    while (other := leases.enter(worker, what, inside=inside)) is not None:
        name, until = other
        if name not in seen:
            seen[name] = until
            logger.warning(
                "waiting for at most %.0f seconds: the worker %s serves %s, unless it has died",
                LEASE_SECONDS,
                name,
                what,
            )
        if until > seen[name]:
            return name
        time.sleep(_LOOK_SECONDS)
    return None


def _renew(
    leases: Leases,
    worker: str,
    wanted: dict[str, tuple[str, str | None]],
    ended: threading.Event,
) -> None:
    while not ended.wait(_RENEW_SECONDS):
        for what, (task, why) in wanted.items():
            try:
                other = leases.enter(worker, what, inside=why is not None)
            except BusUnavailable:
                break  # Nobody else can enter either.
            if other is not None:
                logger.error("this worker ends: %s", _refusal(task, what, why, other[0]))
                celery.worker.state.should_stop = _EX_TEMPFAIL
                return


def _refusal(task: str, what: str, why: str | None, other: str) -> str:
    if why is None:
        return (
            f"{task} would have {what} elsewhere than the worker {other}, which has it inside of "
            "its process: stop that one, and give both the same settings"
        )
    return (
        f"{task} may run in one process only, and the worker {other} serves {what} already: {why}. "
        "Stop that one, let both use one server, or leave the plugin out with --only"
    )
