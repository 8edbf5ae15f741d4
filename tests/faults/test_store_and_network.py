"""Faults that every process outlives: of the network, of a worker's host, of the store's disk."""

from __future__ import annotations

import os
import signal

import pytest
import redis

from faults.fleet import wait_for
from menos_bus import BusUnavailable

pytestmark = pytest.mark.timeout(240)


def test_a_store_that_has_lost_its_data(fleet, gate, receiver):
    """What is in the broker still runs, is known again, and still owes its callback."""
    fleet.bus = fleet.door(callback_allow=receiver.place)
    for _ in range(10):
        fleet.submit(callback_url=receiver.url)
    redis.Redis.from_url(fleet.redis.url).flushall()

    fleet.start_worker(MENOS_CALLBACK_ALLOW=receiver.place)

    gate()
    wait_for(lambda: receiver.told() == set(fleet.accepted), 60, "all callbacks")


def test_a_long_task_whose_connection_is_cut_again_and_again(fleet, gate):
    """Its process never died, so it is no crash loop."""
    # One worker only: another could get the call before this one has seen that it lost it.
    worker = fleet.start_worker(MENOS_DELIVERY_LIMIT="1")
    fleet.submit(seconds=15)

    for runs in (1, 2):
        wait_for(lambda runs=runs: _runs(fleet) == runs, 30, f"run {runs}")
        fleet.rabbit.control("close_all_connections", "cut by a test")

    gate()
    assert worker.poll() is None


@pytest.mark.long
def test_a_worker_that_is_stopped_until_the_broker_gives_it_up(fleet, gate):
    """Another one runs its call; what it says when it goes on changes nothing."""
    stopped = fleet.start_worker()
    fleet.submit(seconds=3)
    wait_for(lambda: _runs(fleet) == 1, 30, "the call to run")

    os.killpg(stopped.pid, signal.SIGSTOP)
    fleet.start_worker()
    wait_for(lambda: _runs(fleet) == 2, 120, "the call to run elsewhere")
    os.killpg(stopped.pid, signal.SIGCONT)

    counters = gate()
    wait_for(lambda: fleet.consumers() == 2, 60, "both workers")
    assert counters.extra_runs == 1


def test_a_call_that_was_refused_in_an_alarm_and_is_repeated_with_its_key(fleet, gate):
    """Whether the broker had taken the first one or not, there is one call."""
    fleet.start_worker()
    key = os.urandom(8).hex()

    fleet.rabbit.control("set_vm_memory_high_watermark", "0.00001")
    try:
        with pytest.raises(BusUnavailable):
            fleet.bus.submit("fault.work", (), {"idempotency_key": key})
    finally:
        fleet.rabbit.control("set_vm_memory_high_watermark", "0.6")
    wait_for(lambda: fleet.submit(idempotency_key=key), 60, "the call to be accepted")

    assert gate().accepted == 1


def _runs(fleet) -> int:
    path = fleet.folder / "runs"
    return len(path.read_text().split()) if path.exists() else 0
