"""Fixtures of the tests across packages: a clean environment, plugins, a running bus."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from kombu import Connection
from xdist.scheduler import LoadFileScheduling

from fake_youtube import FakeYouTube
from forked import Command
from running import (
    PROBE,
    RunningBus,
    clean_environment,
    install_plugin,
    poll,
    start_bus,
)

# The tests start hundreds of processes: compiled files halve what each takes to start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SHARING_SERVERS = {
    "test_amqp_door.py",
    "test_callbacks.py",
    "test_exactly_once.py",
    "test_fleet.py",
    "test_one_process.py",
    "test_quota_fleet.py",
    "test_redis_ledger.py",
}
"""The files whose tests use the same queues, so that one process runs them one after the other."""


class ByFile(LoadFileScheduling):
    """Gives each process whole files, and to one of them those that use the same servers."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        if Path(file).parent.name == "faults":
            return "faults"
        return "sharing servers" if Path(file).name in SHARING_SERVERS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    """Let ``--dist loadfile`` mean :class:`ByFile`."""
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture
def clean_env(tmp_path: Path) -> dict[str, str]:
    """The environment without any MENOS_ setting, and with a data folder of its own."""
    return clean_environment(tmp_path / "home")


@pytest.fixture
def install(tmp_path: Path, clean_env: dict[str, str]) -> Callable[..., Path]:
    """Install a plugin made of one module, for processes with ``clean_env`` only."""
    return partial(install_plugin, clean_env, tmp_path / "site")


@pytest.fixture
def probe(install: Callable[..., Path]) -> None:
    """A plugin whose tasks show what the bus does with them."""
    install("probe", PROBE)


# Other versions of the servers are tried by pointing these at them.
RABBITMQ = os.environ.get("TEST_RABBITMQ", "127.0.0.1:5672")
REDIS = os.environ.get("TEST_REDIS", "127.0.0.1:6379")
BROKER = f"amqp://guest:guest@{RABBITMQ}//"


@pytest.fixture(scope="session")
def model() -> None:
    """The embedding model, fetched once; CI must get it, a laptop without network need not."""
    from menos_vault import Vault, VaultError, VaultSettings

    with Vault(VaultSettings()) as vault:
        try:
            vault.embeddings.prepare()
        except VaultError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"the embedding model cannot be had: {error}")
            pytest.skip(f"the embedding model cannot be had: {error}")


def _need(name: str, place: str) -> None:
    host, _, port = place.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        reason = f"{name} does not run on {place}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A Redis database for tests that use keys of their own; CI must have it."""
    _need("Redis", REDIS)
    return f"redis://{REDIS}/6"


@pytest.fixture(scope="module")
def services(request: pytest.FixtureRequest) -> Iterator[None]:
    """RabbitMQ and Redis on their standard ports; CI must have them, a laptop need not.

    The queues are those of one run at a time: another one waits here.
    """
    assert request.path.name in SHARING_SERVERS, "name the file there, too"
    _need("RabbitMQ", RABBITMQ)
    _need("Redis", REDIS)
    with FileLock(Path(tempfile.gettempdir()) / f"menos-bus-tests-{os.getuid()}.lock"):
        yield


@pytest.fixture
def fleet_env(services: None, clean_env: dict[str, str], probe: None) -> Iterator[dict[str, str]]:
    """The settings of a fleet that has the plugin ``probe`` only; its queues go when it ends."""
    yield {
        **clean_env,
        "MENOS_BROKER_URL": BROKER,
        "MENOS_RESULT_BACKEND": f"redis://{REDIS}/5",
        "MENOS_PLUGINS": "probe",
    }
    with Connection(BROKER) as connection:
        for queue in ("probe", "probe.priority", "probe.dead"):
            connection.default_channel.queue_delete(queue)


@pytest.fixture
def start_worker(fleet_env: dict[str, str]) -> Iterator[Callable[..., Command]]:
    """Start ``menos-bus worker`` with some words and settings; it serves when this returns."""
    workers: list[Command] = []

    def start(*words: str, **settings: str) -> Command:
        process = Command("worker", "--concurrency", "2", *words, env={**fleet_env, **settings})
        workers.append(process)
        with Connection(BROKER) as connection:
            poll(lambda: consumers(connection, "probe") >= len(workers), what="a worker")
        return process

    yield start
    for process in workers:
        process.terminate()
    for process in workers:
        process.wait(60)


def consumers(connection: Connection, queue: str) -> int:
    """How many workers serve a queue."""
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).consumer_count)
    except connection.channel_errors:
        return 0


@pytest.fixture
def start(clean_env: dict[str, str]) -> Iterator[Callable[..., RunningBus]]:
    """Start ``menos-bus up`` on the test's data folder; stopped when the test ends."""
    running: list[RunningBus] = []

    def start(**settings: str) -> RunningBus:
        bus = start_bus({**clean_env, **settings})
        running.append(bus)
        return bus

    yield start
    for bus in running:
        bus.close()


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBus]:
    """A bus with the plugin ``probe`` for all tests of a file that neither stop nor set it."""
    folder = tmp_path_factory.mktemp("shared")
    env = clean_environment(folder / "home")
    install_plugin(env, folder / "site", "probe", PROBE)
    bus = start_bus(env)
    yield bus
    bus.close()


@pytest.fixture
def youtube() -> Iterator[FakeYouTube]:
    server = FakeYouTube()
    yield server
    server.close()


@pytest.fixture
def start_at(youtube: FakeYouTube, start: Callable[..., RunningBus]) -> Callable[..., RunningBus]:
    """Start a bus whose YouTube is the local server."""

    def start_at(**settings: str) -> RunningBus:
        return start(
            MENOS_YOUTUBE_API_KEY="s3cret",
            MENOS_YOUTUBE_API_URL=f"{youtube.url}/v3",
            MENOS_YOUTUBE_SITE_URL=youtube.url,
            MENOS_YOUTUBE_TRANSCRIPT_RATE="0",
            NO_PROXY="127.0.0.1",
            **settings,
        )

    return start_at
