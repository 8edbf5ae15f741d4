"""A quota on a real fleet: processes of a worker, one Redis, exact counts; who waits, who fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection

from conftest import BROKER
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


def submit(env: dict[str, str], task: str, times: int, *words: str) -> str:
    called = run_cli("call", task, str(times), "--no-wait", *words, env=env)
    assert called.returncode == 0, called.stderr
    return called.stdout.strip()


def outcome(env: dict[str, str], task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_cli("result", task_id, "--json", env=env).stdout)
    return found


def quota(env: dict[str, str]) -> dict[str, Any]:
    (found,) = json.loads(run_cli("quota", "--json", env=env).stdout)
    return dict(found)


def test_processes_share_a_quota_and_what_is_over_it_fails_at_once_or_waits(metered):
    # Together 80 of the 50 that calls without priority may use, in two processes.
    calls = [submit(metered, "metered.use_all", 20) for _ in range(4)]
    ended = [
        poll(lambda: (o := outcome(metered, call))["state"] in ("SUCCESS", "FAILURE") and o)  # noqa: B023
        for call in calls
    ]

    failed = [each["error"]["code"] for each in ended if each["state"] == "FAILURE"]
    assert failed
    assert set(failed) == {"quota_exceeded"}
    assert quota(metered)["units_used"] == 50
    assert "only priority calls can go on" in run_cli("quota", env=metered).stdout

    waiting = submit(metered, "metered.use", 11, "--priority")
    found = poll(lambda: (o := outcome(metered, waiting))["state"] == "RETRY" and o, what="RETRY")

    assert found["error"]["code"] == "waiting_for_quota"
    assert found["error"]["tries"] == 0
    assert quota(metered)["units_used"] == 60
    told = json.loads(run_cli("doctor", "--json", env=metered).stdout)
    (check,) = [each for each in told["checks"] if each["name"].startswith("quota ")]
    assert not check["ok"]
