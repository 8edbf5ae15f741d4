"""One call through many doors, and messages that are no calls among those that are."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import uuid4

import amqp
import httpx
import pytest

from faults.fleet import wait_for
from menos_bus.messages.dead_letters import Which, dead_letters

pytestmark = pytest.mark.timeout(240)

FORGED = {"menos_accepted": "forged", "task": "fault.work"}
NO_CALLS = [
    ("", {}),
    ("null", {}),
    ("[1]", {}),
    ("{", {}),
    ("[" * 100_000, {}),
    ('{"task": ["fault.work"]}', {}),
    ('{"task": "fault.nothing"}', {}),
    ('{"task": "fault.work", "id": []}', {}),
    ('{"task": "fault.work", "args": "abc"}', {}),
    ("[[], {}, null]", {"task": "fault.work", "id": 7}),
    ("[1, 2]", {**FORGED, "id": "forged"}),
    ("[[], {}, null]", {**FORGED, "id": "forged-url", "menos_callback_url": ["x"]}),
    ("[[], {}, null]", {**FORGED, "id": "forged-limit", "timelimit": [5, 5]}),
]
ODD_CALLS = {
    "plain": {},
    "stamped": {"stamped_headers": 5, "stamps": ["x"]},
    "silent": {"ignore_result": True},
    "tried": {"retries": "x"},
}
"""What is in the headers of forged messages that are calls all the same."""


def test_one_key_at_every_door_is_one_execution(fleet, gate):
    fleet.start_worker()
    logins = {"MENOS_FLOWER_PASSWORD": "operator-pw", "MENOS_CALLER_PASSWORD": "caller-pw"}
    flower, api = fleet.start_door("flower", **logins), fleet.start_door("api", **logins)
    kwargs = {"idempotency_key": os.urandom(8).hex()}

    def python() -> str:
        return str(fleet.bus.submit("fault.work", (), kwargs))

    def posted(url: str, body: dict[str, object]) -> str:
        answer = httpx.post(url, json=body, auth=("caller", "caller-pw"), timeout=30, verify=False)
        assert answer.is_success, answer.text
        told = answer.json()
        return str(told.get("task-id") or told["task_id"])

    def http() -> str:
        return posted(f"{flower}/api/task/async-apply/fault.work", {"kwargs": kwargs})

    def openapi() -> str:
        return posted(f"{api}/tasks/fault.work", kwargs)

    def message() -> None:
        _send(fleet, json.dumps({"task": "fault.work", "kwargs": kwargs}))

    with ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(door) for door in (python, http, openapi, message) for _ in range(5)]
        ids = {call.result() for call in calls} - {None}
    fleet.attempted, fleet.accepted = 20, dict.fromkeys(ids, "SUCCESS")
    # The messages come first; what they would have sent on comes before the second one.
    for _ in range(2):
        _wait_for_a_later_call(fleet)

    counters = gate()
    assert len(ids) == 1
    assert counters.extra_runs == 0


def test_messages_that_are_no_calls_among_calls(fleet, gate):
    """None of them ends the worker or keeps a place in it, and none vanishes."""
    worker = fleet.start_worker()

    # Nearly as the bus sends it, but without a content type.
    for task_id, headers in ODD_CALLS.items():
        fleet.attempted += 1
        fleet.accepted[task_id] = "SUCCESS"
        _send(fleet, "[[], {}, null]", {**FORGED, "id": task_id, **headers})
    for body, headers in NO_CALLS:
        _send(fleet, body, headers)
        fleet.submit()
    gate()

    wait_for(lambda: len(_dead(fleet)) == len(NO_CALLS), 30, "all dead letters")
    assert worker.poll() is None


def _send(fleet, body: str, headers: dict[str, object] | None = None) -> None:
    with closing(fleet.rabbit.connect()) as connection:
        connection.connect()
        connection.channel(1).basic_publish_confirm(
            amqp.Message(body, application_headers=headers or {}),
            exchange="", routing_key="fault", mandatory=True, confirm_timeout=10,
        )  # fmt: skip


def _wait_for_a_later_call(fleet) -> None:
    task_id = str(uuid4())
    _send(fleet, json.dumps({"task": "fault.work", "id": task_id}))
    wait_for(lambda: fleet.state(task_id) == "SUCCESS", 60, "a later call")
    fleet.attempted += 1
    fleet.accepted[task_id] = "SUCCESS"


def _dead(fleet) -> list[object]:
    return list(dead_letters(fleet.bus.app).find(Which(queue="fault")))
