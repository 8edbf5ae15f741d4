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
from menos_bus.messages.depths import queue_depths
from menos_bus.outcomes.outcome import Outcome
from menos_bus.quota.status import Status
from menos_bus.tasks.envelope import validate_call

_ERRORS: Final[dict[str, type[BusError]]] = {
    error.code: error for error in (UnknownTask, CallConflict, BusUnavailable, UnknownQuota)
}
_POLL: Final = (0.05, 0.5)
"""Seconds between two looks at a result: the first wait, and the longest."""
_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Whose certificates are trusted: the door speaks plain HTTP, and reading others' takes longer."""


def submit(bus: Bus, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """Submit a call to the bus that the settings lead to.

    Returns:
        The task id.

    Raises:
        CallError: nothing was queued; the subclass says why.
    """
    if name in bus.registry:
        # Here already, so that a mistake is named even where no bus is running.
        validate_call(bus.registry[name], args, kwargs)
    if not bus.settings.embedded:
        return bus.submit(name, args, kwargs)
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
        return queue_depths(bus.app)
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
    except ValueError:
        answer = {}
    if response.is_success:
        return answer
    told = answer.get("error") or {"code": "unavailable", "message": f"{response.status_code}"}
    if "fields" in told:
        raise InvalidCall([FieldProblem(**field) for field in told["fields"]])
    raise _ERRORS.get(told["code"], CallError)(told["message"])


def wait(
    bus: Bus, task_id: str, seconds: float | None, on_change: Callable[[Outcome], None]
) -> Outcome:
    """Follow a call until its terminal state, or for so many seconds.

    Raises:
        UnknownTaskId: no such call is known.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    pause, longest = _POLL
    while True:
        outcome = bus.outcome(task_id)
        on_change(outcome)
        if outcome.ready or (deadline is not None and time.monotonic() >= deadline):
            return outcome
        time.sleep(pause)
        pause = min(pause * 1.5, longest)
