"""A vault inside the process of a fleet's worker: another worker refuses to have its own."""

from __future__ import annotations

import os
import re
import signal

import pytest
from kombu import Connection

from conftest import BROKER, REDIS, consumers
from forked import Command
from menos_bus.bus import Bus
from menos_bus.doors.one_process import Leases
from menos_bus.settings import BusSettings
from running import poll, run_cli

PLUGINS = ("content", "search")


@pytest.fixture
def vault_env(fleet_env):
    """The settings of a fleet that has two plugins of the vault."""
    yield {**fleet_env, "MENOS_PLUGINS": ",".join(PLUGINS)}
    with Connection(BROKER) as connection:
        for plugin in PLUGINS:
            for queue in (plugin, f"{plugin}.priority", f"{plugin}.dead"):
                connection.default_channel.queue_delete(queue)


@pytest.fixture
def start(vault_env, tmp_path):
    """Start a worker of one plugin with a data folder of its own; wait until it serves."""
    workers = []

    def start(plugin, host, stderr=2, **settings):
        home = {"MENOS_HOME": str(tmp_path / host)}
        words = ("worker", "--concurrency", "1", "--only", plugin)
        worker = Command(*words, env={**vault_env, **home, **settings}, stderr=stderr)
        workers.append(worker)
        with Connection(BROKER) as connection:
            poll(
                lambda: worker.poll() is not None or consumers(connection, plugin), what="a worker"
            )
        assert worker.poll() is None
        return worker

    yield start
    for worker in workers:
        worker.send_signal(signal.SIGCONT)
        worker.terminate()
        worker.wait(60)


def refusal_of(plugin, env, **settings):
    words = ("worker", "--concurrency", "1", "--only", plugin)
    refused = run_cli(*words, env={**env, **settings})
    assert refused.returncode == 2, refused.stderr
    return refused.stderr


def test_a_worker_refuses_a_vault_of_its_own_while_another_has_one(vault_env, start, tmp_path):
    first = start("content", "one")

    other = refusal_of("search", vault_env, MENOS_HOME=str(tmp_path / "two"))
    same = refusal_of("search", vault_env, MENOS_HOME=str(tmp_path / "one"))
    served = refusal_of("search", vault_env, MENOS_VAULT_URL="ws://127.0.0.1:1")
    doctor = run_cli("doctor", env=vault_env).stdout
    first.terminate()
    first.wait(30)

    taken = r"one process only, and the worker content-\w+@\S+ serves the vault already"
    for told in (other, same):
        assert re.search(taken, told)
        assert "at a server (MENOS_VAULT_URL)" in told
    assert re.search(r"the vault elsewhere than the worker content-\w+@\S+, which has it", served)
    assert re.search(r"the vault: inside the worker content-\w+@", doctor)
    start("search", "two")


def test_workers_that_have_the_vault_at_a_server_serve_side_by_side(vault_env, start, tmp_path):
    at_server = {"MENOS_VAULT_URL": "ws://127.0.0.1:1"}
    start("content", "one", **at_server)
    start("search", "two", **at_server)

    refused = refusal_of("search", vault_env, MENOS_HOME=str(tmp_path / "three"))

    assert "serves the vault already" in refused


def test_a_redis_that_is_the_broker_is_one_by_whatever_url(fleet_env):
    results = fleet_env["MENOS_RESULT_BACKEND"]
    settings = (
        BusSettings.load(broker_url=f"redis://{REDIS}{database}", result_backend=results)
        for database in ("", "/", "/0", "//0", "/1")
    )
    first, *others, another = [Leases(Bus(each, [])) for each in settings]

    assert first.enter("first", "the vault", inside=True) is None
    try:
        for leases in others:
            name, _ = leases.enter("other", "the vault", inside=True)
            assert name == "first"
        assert another.inside("the vault") == []
    finally:
        first.leave("first", "the vault")


def test_a_worker_that_was_halted_for_long_ends_when_another_has_taken_its_place(start, tmp_path):
    halted = start("content", "one")
    os.kill(halted.pid, signal.SIGSTOP)

    with (tmp_path / "said").open("w") as said:
        other = start("search", "two", stderr=said.fileno())
    waits = r"waiting for at most 10 seconds: the worker content-\w+@\S+ serves the vault, unless"
    assert len(re.findall(waits, (tmp_path / "said").read_text())) == 1
    os.kill(halted.pid, signal.SIGCONT)

    assert halted.wait(60) == os.EX_TEMPFAIL
    assert other.poll() is None
