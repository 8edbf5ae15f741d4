"""What can happen to a fleet, and that nothing that was accepted is lost by it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from faults.fleet import wait_for
from menos_bus import BusUnavailable
from menos_bus.messages.dead_letters import Which, dead_letters

pytestmark = pytest.mark.timeout(240)


def test_kill_of_a_child(fleet, gate):
    worker = fleet.start_worker()

    with fleet.load():
        for _ in range(3):
            time.sleep(0.7)
            os.kill(fleet.random.choice(fleet.children(worker)), signal.SIGKILL)

    gate()


def test_kill_of_a_worker(fleet, gate):
    workers = [fleet.start_worker(), fleet.start_worker()]

    with fleet.load():
        for worker in workers:
            time.sleep(1)
            fleet.kill(worker)
            fleet.start_worker()

    gate()


def test_kill_of_the_broker(fleet, gate):
    fleet.start_worker()

    with fleet.load():
        time.sleep(1)
        fleet.rabbit.kill()
        time.sleep(1)
        fleet.rabbit.start()
        assert wait_for(lambda: fleet.consumers() > 0, 30, "a worker that consumes again") < 30
        time.sleep(1)

    gate()


def test_restart_of_the_broker_under_load(fleet, gate):
    fleet.start_worker()

    with fleet.load():
        time.sleep(1)
        fleet.rabbit.control("stop_app")
        time.sleep(1)
        fleet.rabbit.control("start_app")
        wait_for(lambda: fleet.consumers() > 0, 30, "a worker that consumes again")

    gate()


def test_kill_of_the_result_store(fleet, gate):
    fleet.start_worker()

    with fleet.load():
        time.sleep(1)
        fleet.redis.kill()
        time.sleep(2)
        fleet.redis.start()
        time.sleep(1)

    gate()


@pytest.mark.parametrize(
    "seconds", [8, pytest.param(45, marks=pytest.mark.long)], ids=lambda s: f"{s} s"
)
def test_a_result_store_that_is_away(fleet, gate, seconds):
    fleet.start_worker()
    for _ in range(20):
        fleet.submit()

    with fleet.load():
        fleet.redis.kill()
        time.sleep(seconds)
        fleet.redis.start()

    gate()


def test_a_worker_that_is_stopped_and_goes_on(fleet, gate):
    stopped = fleet.start_worker()
    fleet.start_worker()

    with fleet.load():
        os.killpg(stopped.pid, signal.SIGSTOP)
        time.sleep(5)
        os.killpg(stopped.pid, signal.SIGCONT)
        time.sleep(1)

    gate()


def test_a_broker_and_a_store_that_hang(fleet, gate):
    fleet.start_worker()

    with fleet.load():
        fleet.rabbit.signal(signal.SIGSTOP)
        time.sleep(3)
        fleet.rabbit.signal(signal.SIGCONT)
        fleet.redis.signal(signal.SIGSTOP)
        time.sleep(3)
        fleet.redis.signal(signal.SIGCONT)
        time.sleep(1)

    gate()


def test_connections_that_are_cut(fleet, gate):
    fleet.start_worker()

    with fleet.load():
        for _ in range(3):
            time.sleep(1)
            fleet.rabbit.control("close_all_connections", "cut by a test")

    gate()


def test_a_memory_alarm_refuses_calls_in_time_and_loses_none(fleet, gate):
    fleet.start_worker()
    accepted = [fleet.submit(seconds=0.2) for _ in range(10)]

    fleet.rabbit.control("set_vm_memory_high_watermark", "0.00001")
    try:
        started = time.monotonic()
        with pytest.raises(BusUnavailable, match="the broker does not take messages now"):
            fleet.bus.submit("fault.work", (), {})
        assert time.monotonic() - started < 12
    finally:
        fleet.rabbit.control("set_vm_memory_high_watermark", "0.6")
    fleet.submit()

    assert all(accepted)
    gate()


def test_poison_among_innocents(fleet, gate):
    worker = fleet.start_worker(MENOS_DELIVERY_LIMIT="2")

    for number in range(30):
        if number % 10 == 5:
            fleet.submit("fault.poison", state="FAILURE")
        fleet.submit()
    gate()

    assert worker.poll() is None


def test_the_innocents_of_a_worker_that_dies_again_and_again(fleet, gate):
    for _ in range(10):
        fleet.submit(seconds=0.2)

    for _ in range(3):
        worker = fleet.start_worker()
        time.sleep(0.3)
        fleet.kill(worker)
    fleet.start_worker()

    gate()


def test_failures_among_successes_are_all_told(fleet, gate):
    fleet.start_worker()

    for number in range(40):
        task, state = ("fault.refuse", "FAILURE") if number % 2 else ("fault.work", "SUCCESS")
        fleet.submit(task, state=state)

    gate()
    wait_for(lambda: _dead(fleet) == 20, 30, "all dead letters")


def test_a_rolling_restart(fleet, gate):
    workers = [fleet.start_worker(), fleet.start_worker()]

    with fleet.load():
        for worker in workers:
            worker.terminate()
            worker.wait(60)
            fleet.start_worker()

    gate()


def test_one_key_from_many_places_is_one_call(fleet, gate):
    fleet.start_worker()
    key = os.urandom(8).hex()

    doors = [fleet.door() for _ in range(4)]
    with ThreadPoolExecutor(20) as pool:
        ids = set(
            pool.map(
                lambda n: doors[n % 4].submit("fault.work", (), {"idempotency_key": key}), range(20)
            )
        )
    fleet.attempted, fleet.accepted = 20, dict.fromkeys(ids, "SUCCESS")
    counters = gate()

    assert counters.accepted == 1
    assert counters.extra_runs == 0


DIES_BETWEEN = """
import os, sys
from menos_bus import Bus, BusSettings

ledger = (bus := Bus(BusSettings.load(), [])).app.ledger
accept = ledger.accept
ledger.accept = lambda entry: (accept(entry), os._exit(9))
bus.submit("fault.work", (), {"idempotency_key": sys.argv[1]})
"""


def test_a_publisher_that_dies_between_recording_and_publishing(fleet, gate):
    """The next one with the same key takes the call over, instead of waiting for ever."""
    fleet.start_worker()
    key = os.urandom(8).hex()
    died = subprocess.run([sys.executable, "-c", DIES_BETWEEN, key], env=fleet.env, check=False)
    assert died.returncode == 9

    wait_for(lambda: fleet.submit(idempotency_key=key), 60, "the call to be taken over")

    gate()


def _dead(fleet) -> int:
    return len(dead_letters(fleet.bus.app).find(Which(queue="fault")))


# doors and callbacks


def test_the_http_doors_answer_in_time_during_a_memory_alarm(fleet, gate):
    fleet.start_worker()
    logins = {"MENOS_FLOWER_PASSWORD": "operator-pw", "MENOS_CALLER_PASSWORD": "caller-pw"}
    flower, api = fleet.start_door("flower", **logins), fleet.start_door("api", **logins)
    doors = [(f"{flower}/api/task/async-apply/fault.work", {}), (f"{api}/tasks/fault.work", {})]
    for url, body in doors:
        fleet.post(url, body)

    fleet.rabbit.control("set_vm_memory_high_watermark", "0.00001")
    try:
        for url, body in doors:
            started = time.monotonic()
            answer = httpx.post(
                url, json=body, auth=("caller", "caller-pw"), timeout=30, verify=False
            )
            assert time.monotonic() - started < 12
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert "Traceback" not in answer.text
    finally:
        fleet.rabbit.control("set_vm_memory_high_watermark", "0.6")
    for url, body in doors:
        fleet.post(url, body)

    assert len(fleet.accepted) == 4
    gate()


def test_callbacks_survive_their_receiver_and_their_workers(fleet, gate, receiver):
    settings = {"MENOS_CALLBACK_ALLOW": receiver.place, "MENOS_CALLBACK_TIMEOUT": "3"}
    worker = fleet.start_worker(**settings)
    fleet.bus = fleet.door(callback_allow=receiver.place)
    receiver.faults = ["500", "drip", "redirect", "409", "409", "hang up"]

    for number in range(20):
        fleet.submit(callback_url=receiver.url)
        if number in (7, 14):
            fleet.kill(worker)
            worker = fleet.start_worker(**settings)
    gate()

    wanted = set(fleet.accepted)
    wait_for(lambda: receiver.told() == wanted, 60, "all callbacks")
    assert len(receiver.events()) == len(wanted), "one event id for each call"
