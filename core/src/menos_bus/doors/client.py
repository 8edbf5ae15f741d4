"""How the command line reaches a bus: an embedded one through its HTTP door, a fleet's broker."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx

from menos_bus.bus import Bus
from menos_bus.doors.running import Address, find_running
from menos_bus.errors import (
    BusError,
    BusUnavailable,
    CallConflict,
    CallError,
    FieldProblem,
    InvalidCall,
    UnknownQuota,
    UnknownTask,
)
from menos_bus.messages.broker import CONNECT_SECONDS, connected
from menos_bus.messages.depths import queue_depths
from menos_bus.outcomes.outcome import Outcome
from menos_bus.quota.status import Status
from menos_bus.tasks.envelope import validate_call

_ERRORS: Final[dict[str, type[BusError]]] = {
    error.code: error for error in (UnknownTask, CallConflict, BusUnavailable, UnknownQuota)
}
_POLL: Final = (0.05, 0.5)
"""Seconds between two looks at a result: the first wait, and the longest."""
_LOOK: Final = 5.0
"""Seconds between two looks at whether there is anybody to wait for."""
_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Whose certificates are trusted: the door speaks plain HTTP, and reading others' takes longer."""


def submit(
    bus: Bus, name: str, args: Sequence[Any], kwargs: dict[str, Any], seconds: float | None = None
) -> str:
    """Submit a call to the bus that the settings lead to.

    Args:
        bus: leads to it.
        name: the task's name.
        args: positional arguments.
        kwargs: keyword arguments, the reserved ones among them.
        seconds: how long somebody will wait for the call, if that is known: a broker that does not
            answer is not waited for longer.

    Returns:
        The task id.

    Raises:
        CallError: nothing was queued; the subclass says why.
    """
    if name in bus.registry:
        # Here already, so that a mistake is named even where no bus is running.
        validate_call(bus.registry[name], args, kwargs)
    if not bus.settings.embedded:
        with bus.app.connection_for_write(connect_timeout=_patience(seconds)) as connection:
            return bus.submit(name, args, kwargs, connection=connection)
    answer = request(
        running(bus),
        "POST",
        f"/api/task/async-apply/{quote(name, safe='')}",
        {"args": list(args), "kwargs": kwargs},
    )
    return str(answer["task-id"])


def running(bus: Bus) -> Address:
    """The embedded bus that runs on the data folder.

    Raises:
        BusUnavailable: none does; says how to start one.
    """
    address = find_running(bus.settings.home)
    if address is None:
        raise BusUnavailable(
            f"no bus is running on the data folder {bus.settings.home.resolve()}: start one with "
            "`menos-bus up` in another terminal, or set MENOS_HOME to the folder of one that runs"
        )
    return address


def queues(bus: Bus, address: Address | None) -> list[dict[str, Any]]:
    """How full the queues are; see :func:`menos_bus.messages.depths.queue_depths`.

    Args:
        bus: leads to the broker or the ledger.
        address: the embedded bus to ask instead, if one runs.

    Raises:
        BusUnavailable: whoever was asked does not answer.
    """
    if address is None:
        return queue_depths(bus.app, stopped=True)
    found: list[dict[str, Any]] = request(address, "GET", "/api/queues/length")["active_queues"]
    return found


def quotas(bus: Bus, address: Address | None, name: str | None = None) -> list[Status]:
    """How the quotas are, or the one of that name.

    Args:
        bus: has the limits and leads to the store.
        address: the embedded bus to ask instead, if one runs: it may have other limits.
        name: one quota.

    Raises:
        UnknownQuota: no loaded plugin declares it.
        BusUnavailable: whoever was asked does not answer.
    """
    if address is None:
        return [bus.quota(each) for each in ([name] if name else bus.quotas)]
    if name is not None:
        return [Status.from_json(request(address, "GET", f"/api/v1/quota/{quote(name, safe='')}"))]
    return [Status.from_json(told) for told in request(address, "GET", "/api/v1/quota")["quotas"]]


def reopen_quota(bus: Bus, address: Address | None, name: str) -> None:
    """Take back that the service calls a quota spent for today.

    Args:
        bus: leads to the store.
        address: the embedded bus to ask instead, if one runs: it may have other plugins.
        name: the quota.

    Raises:
        UnknownQuota: no loaded plugin declares it.
        BusUnavailable: whoever was asked does not answer.
    """
    if address is None:
        bus.reopen_quota(name)
    else:
        request(address, "POST", f"/api/v1/quota/{quote(name, safe='')}/reopen")


def request(address: Address, method: str, path: str, body: Any = None) -> Any:
    """One request at the HTTP door of a running embedded bus.

    Raises:
        BusError: what the door answered, or that it did not.
    """
    try:
        response = httpx.request(
            method,
            address.url + path,
            json=body,
            auth=(address.user, address.password),
            timeout=30,
            trust_env=False,
            verify=_NOBODY,
        )
    except httpx.HTTPError as error:
        raise BusUnavailable(f"the bus at {address.url} does not answer: {error}") from error
    try:
        answer = response.json()
        if response.is_success:
            return answer
        told = answer["error"]
        code, message = told["code"], told["message"]
    except (ValueError, TypeError, KeyError) as error:
        raise BusUnavailable(
            f"what listens at {address.url} does not answer as a bus does "
            f"(HTTP {response.status_code}): another program may have its port by now"
        ) from error
    if "fields" in told:
        raise InvalidCall([FieldProblem(**field) for field in told["fields"]])
    raise _ERRORS.get(code, CallError)(message)


def wait(
    bus: Bus,
    task_id: str,
    seconds: float | None,
    on_change: Callable[[Outcome], None],
    tell: Callable[[str], None],
) -> Outcome:
    """Follow a call until its terminal state, or for so many seconds.

    Args:
        bus: leads to the results, and to whatever runs the call.
        task_id: the call.
        seconds: how long to wait at most; ``None`` for as long as it takes.
        on_change: is given each outcome that was read.
        tell: is given a line when what the call needs is away, and another when it is back.

    Raises:
        UnknownTaskId: no such call is known.
        BusUnavailable: the store of the results was away to the last.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    away = _Away(bus, tell)
    pause, longest = _POLL
    while True:
        left = None if deadline is None else deadline - time.monotonic()
        last = left is not None and left <= 0
        try:
            outcome = bus.outcome(task_id)
        except BusUnavailable as error:
            if last:
                raise
            away.look(left, error)
        else:
            on_change(outcome)
            if outcome.ready or last:
                return outcome
            away.look(left)
        time.sleep(pause)
        pause = min(pause * 1.5, longest)


def _patience(seconds: float | None) -> float:
    """How long a broker may take to answer somebody who waits for so long."""
    return CONNECT_SECONDS if seconds is None else min(max(seconds, 1.0), CONNECT_SECONDS)


class _Away:
    """Tells once that what a call needs is away, and once that it is back."""

    def __init__(self, bus: Bus, tell: Callable[[str], None]) -> None:
        self._bus = bus
        self._tell = tell
        self._told = False
        self._next = time.monotonic() + _LOOK

    def look(self, left: float | None, missing: BusUnavailable | None = None) -> None:
        """Every few seconds, see what there is.

        Args:
            left: seconds for which somebody still waits, if that is known.
            missing: what is known to be away already.
        """
        if time.monotonic() < self._next:
            return
        missing = missing or self._missing(left)
        self._next = time.monotonic() + _LOOK
        if missing and not self._told:
            self._tell(f"Still waiting, but {missing.message}")
        elif self._told and not missing:
            self._tell("It is back: waiting for the result")
        self._told = missing is not None

    def _missing(self, left: float | None) -> BusUnavailable | None:
        try:
            if self._bus.settings.embedded:
                running(self._bus)
            else:
                with connected(self._bus.app, _patience(left)):
                    pass
        except BusUnavailable as error:
            return error
        return None
