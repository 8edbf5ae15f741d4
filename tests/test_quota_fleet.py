"""A quota on a real fleet: processes of a worker, one Redis, exact counts; who waits, who fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection

from conftest import BROKER
from menos_bus import Bus, BusSettings
from running import poll, run_cli

METERED = '''
import os
from menos_bus import Quota, hookimpl

QUOTA = Quota(os.environ["METERED_QUOTA"], limit=60, reserve=10)

@hookimpl
def register_quotas(register):
    register(QUOTA)

@hookimpl
def register_tasks(register):
    register(use)
    register(use_all, max_retries=0)

def use(times: int) -> int:
    """Use the quota."""
    for _ in range(times):
        with QUOTA.spend():
            pass
    return times

def use_all(times: int) -> int:
    """Use the quota."""
    return use(times)
'''


@pytest.fixture
def metered(
    install: Callable[..., Any], request: pytest.FixtureRequest
) -> Iterator[dict[str, str]]:
    """The settings of a fleet whose worker has a plugin with a quota of 60 units, 10 reserved."""
    install("metered", METERED)
    env: dict[str, str] = request.getfixturevalue("fleet_env")
    # One of its own, since Redis keeps the counts of a day.
    env.update(MENOS_PLUGINS="probe,metered", METERED_QUOTA=f"metered.q{uuid4().hex}")
    request.getfixturevalue("start_worker")()
    yield env
    with Connection(BROKER) as connection:
        for queue in ("metered", "metered.priority", "metered.dead"):
            connection.default_channel.queue_delete(queue)


def quota(env: dict[str, str]) -> dict[str, Any]:
    (found,) = json.loads(run_cli("quota", "--json", env=env).stdout)
    return dict(found)


def test_processes_share_a_quota_and_what_is_over_it_fails_at_once_or_waits(metered):
    backend = metered["MENOS_RESULT_BACKEND"]
    bus = Bus(BusSettings.load(broker_url=BROKER, result_backend=backend, plugins=()))

    def ended(task_id, *states):
        return (found := bus.outcome(task_id)).state in states and found

    # Together 80 of the 50 that calls without priority may use, in two processes.
    calls = [bus.submit("metered.use_all", kwargs={"times": 20}) for _ in range(4)]
    outcomes = [poll(lambda: ended(call, "SUCCESS", "FAILURE"), what="the end") for call in calls]  # noqa: B023

    failed = [outcome.error["code"] for outcome in outcomes if outcome.state == "FAILURE"]
    assert failed
    assert set(failed) == {"quota_exceeded"}
    assert quota(metered)["units_used"] == 50

    waiting = bus.submit("metered.use", kwargs={"times": 11, "priority": True})
    found = poll(lambda: ended(waiting, "RETRY"), what="waiting")

    assert (found.error["code"], found.error["tries"]) == ("waiting_for_quota", 0)
    assert quota(metered)["units_used"] == 60
    told = json.loads(run_cli("doctor", "--json", env=metered).stdout)
    (check,) = [each for each in told["checks"] if each["name"].startswith("quota ")]
    assert "nothing is left for calls without priority" in check["message"]
