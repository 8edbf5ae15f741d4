"""The services of the fault tests, the counters that each ends with, and their summary."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.fleet import PLUGIN, Counters, Fleet
from faults.receiver import Receiver
from faults.services import Rabbit, Redis

SEED = int(os.environ.setdefault("MENOS_FAULT_SEED", str(random.randrange(10**6))))
"""Put into the environment for the processes that the tests are spread over."""


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rabbit, Redis]]:
    folder = tmp_path_factory.mktemp("servers")
    rabbit, redis = Rabbit(folder / "rabbit"), Redis(folder / "redis")
    try:
        redis.start()
        rabbit.start()
        yield rabbit, redis
    finally:
        rabbit.kill()
        redis.kill()


@pytest.fixture
def fleet(
    servers: tuple[Rabbit, Redis],
    clean_env: dict[str, str],
    install: Callable[..., Path],
    tmp_path: Path,
) -> Iterator[Fleet]:
    """An empty fleet; stopped when the test ends."""
    install("fault", PLUGIN)
    rabbit, redis = servers
    fleet = Fleet(rabbit, redis, tmp_path / "faults", dict(clean_env), SEED)
    yield fleet
    fleet.stop()
    with rabbit.connect() as connection:
        channel = connection.channel()
        for queue in ("fault", "fault.priority", "fault.dead", "callbacks", "callbacks.dead"):
            channel.queue_delete(queue)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def gate(fleet: Fleet, request: pytest.FixtureRequest) -> Callable[..., Counters]:
    """Wait for the end of everything, note the counters, and hold them against the gate."""

    def gate(seconds: float = 90) -> Counters:
        counters = fleet.settle(seconds)
        # With the report, since the summary may be another process's to write.
        request.node.user_properties.append(("counters", counters.__dict__))
        assert counters.good, f"{counters}\n{fleet.log()}"
        assert counters.done == counters.accepted > 0
        return counters

    return gate


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each scenario ended with."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call"
    ]
    results = [
        (
            report.nodeid.rpartition("::test_")[2].partition("@")[0].replace("_", " "),
            Counters(**told),
        )
        for report in reports
        for name, told in report.user_properties
        if name == "counters"
    ]
    if not results:
        return
    terminalreporter.section(f"faults, seed {SEED}")
    for name, counters in results:
        terminalreporter.write_line(f"{name}: {counters}")
    total = [sum(values) for values in zip(*(c.__dict__.values() for _, c in results), strict=True)]
    terminalreporter.write_line(f"in all: {Counters(*total)}")
