"""A fleet by settings only: a worker on RabbitMQ, results in Redis, the same calls."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess

import httpx
import pytest

from running import MENOS_BUS, poll, run_cli

BROKER = "amqp://guest:guest@127.0.0.1:5672//"
RESULTS = "redis://127.0.0.1:6379/5"


@pytest.fixture(scope="module", autouse=True)
def services() -> None:
    """RabbitMQ and Redis on their standard ports; CI must have them, a laptop need not."""
    for name, port in (("RabbitMQ", 5672), ("Redis", 6379)):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError:
            reason = f"{name} does not run on 127.0.0.1:{port}"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)


@pytest.fixture
def fleet_env(clean_env, probe):
    from kombu import Connection

    env = {**clean_env, "MENOS_BROKER_URL": BROKER, "MENOS_RESULT_BACKEND": RESULTS}
    yield env
    with Connection(BROKER) as connection:
        for queue in ("probe", "probe.priority", "probe.dead"):
            connection.default_channel.queue_delete(queue)


@pytest.fixture
def worker(fleet_env):
    process = subprocess.Popen([MENOS_BUS, "worker", "--concurrency", "2"], env=fleet_env)
    yield process
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def test_a_call_goes_over_the_broker_and_its_result_comes_back(fleet_env, worker):
    called = run_cli("call", "probe.echo", "ha", "--times", "2", env=fleet_env)

    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout) == "haha"


def test_a_failure_carries_code_message_and_tries(fleet_env, worker, tmp_path):
    called = run_cli(
        "call", "probe.flaky", str(tmp_path / "m"), "--json", "--wait", "60", env=fleet_env
    )

    assert called.returncode == 1
    assert json.loads(called.stdout)["error"] == {"code": "busy", "message": "not yet", "tries": 3}
    assert len((tmp_path / "m").read_text().splitlines()) == 3


def test_one_idempotency_key_is_one_execution(fleet_env, worker, tmp_path):
    (tmp_path / "until").touch()
    call = ("call", "probe.work", str(tmp_path / "m"), str(tmp_path / "until"), "--json")

    first, second = (
        json.loads(run_cli(*call, "--idempotency-key", str(tmp_path), env=fleet_env).stdout)
        for _ in range(2)
    )
    other = run_cli(
        "call", "probe.work", "x", "y", "--idempotency-key", str(tmp_path), env=fleet_env
    )

    assert first == second
    assert (tmp_path / "m").read_text() == "started\n"
    assert other.returncode == 2
    assert "used before" in other.stderr


def test_an_id_that_was_never_accepted_is_unknown(fleet_env):
    asked = run_cli("result", "never", env=fleet_env)

    assert asked.returncode == 2
    assert "no call with the id 'never'" in asked.stderr


def test_flower_takes_calls_for_the_fleet(fleet_env, worker, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flower = subprocess.Popen(
        [MENOS_BUS, "flower", "--port", str(port)],
        env={**fleet_env, "MENOS_FLOWER_PASSWORD": "secret"},
        stdout=subprocess.DEVNULL,
    )
    try:
        door = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", auth=("menos", "secret"), trust_env=False
        )
        poll(lambda: _up(door), what="Flower")
        answer = door.post("/api/task/async-apply/probe.echo", json={"args": ["hi"]})
        result = door.get(f"/api/task/result/{answer.json()['task-id']}?timeout=30", timeout=40)

        assert result.json()["result"] == "hi"
        assert door.get("/api/queues/length").status_code == 200
    finally:
        flower.send_signal(signal.SIGINT)
        flower.wait(30)


def test_a_worker_without_a_broker_says_which_settings_it_needs(clean_env):
    refused = run_cli("worker", env=clean_env)

    assert refused.returncode == 2
    assert "MENOS_BROKER_URL" in refused.stderr


def test_a_broker_that_does_not_answer_is_named_and_nothing_is_kept(fleet_env):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    env = {**fleet_env, "MENOS_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{port}//"}

    refused = run_cli("call", "probe.echo", "x", "--idempotency-key", str(port), env=env)
    checked = run_cli("doctor", env=env)

    assert refused.returncode == 2
    assert "the broker does not take messages now" in refused.stderr
    assert checked.returncode == 1
    assert "MENOS_BROKER_URL" in checked.stdout


def _up(door: httpx.Client) -> bool:
    try:
        return door.get("/healthcheck").status_code == 200
    except httpx.TransportError:
        return False
