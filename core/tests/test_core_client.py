"""A client that waits tells when what it waits for is away, and when it is back."""

import socket

import pytest

from menos_bus import BusUnavailable
from menos_bus.doors import client
from menos_bus.doors.running import Address, announce, lock
from menos_bus.outcomes.sqlite import SQLiteLedger


def greet(): ...


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(client, "_LOOK", 0.05)


def test_a_bus_that_is_away_is_told_of_once_and_so_is_its_return(make_bus, make_plugin):
    bus = make_bus(make_plugin("p", greet))
    task_id = bus.submit("p.greet")
    told = []
    serving = []

    def tell(line):
        told.append(line.partition(":")[0])
        if len(told) == 1:
            serving.append(lock(bus.settings.home))  # as a bus does that starts
            announce(bus.settings.home, Address("http://127.0.0.1:1", "menos", "secret"))
        else:
            bus.app.backend.store_result(task_id, 1, "SUCCESS")

    outcome = client.wait(bus, task_id, 30, lambda outcome: None, tell)

    assert outcome.result == 1
    assert told == [
        f"Still waiting, but no bus is running on the data folder {bus.settings.home}",
        "It is back",
    ]


def test_nothing_is_told_where_the_bus_runs(make_bus, make_plugin):
    bus = make_bus(make_plugin("p", greet))
    task_id = bus.submit("p.greet")
    serving = lock(bus.settings.home)
    announce(bus.settings.home, Address("http://127.0.0.1:1", "menos", "secret"))
    told = []

    assert client.wait(bus, task_id, 0.5, lambda outcome: None, told.append).state == "PENDING"

    assert told == []
    serving.release()


def test_a_result_store_that_is_away_is_waited_for_as_long_as_was_said(make_bus, make_plugin):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        bus = make_bus(
            make_plugin("p", greet),
            broker_url=f"amqp://127.0.0.1:{port}",
            result_backend=f"redis://127.0.0.1:{port}/0",
        )
        told = []

        with pytest.raises(BusUnavailable, match="result store does not answer"):
            client.wait(bus, "some-id", 0.5, lambda outcome: None, told.append)

    assert [line.partition("(")[0] for line in told] == [
        "Still waiting, but the result store does not answer "
    ]


@pytest.mark.parametrize(("waits", "seconds"), [(None, 5), (60, 5), (2, 2), (0, 1)])
def test_a_broker_that_does_not_answer_is_waited_for_no_longer_than_the_call(
    make_bus, make_plugin, monkeypatch, waits, seconds
):
    monkeypatch.setattr(client, "_LOOK", 0)
    bus = make_bus(
        make_plugin("p", greet), broker_url="memory://", result_backend="redis://127.0.0.1:1"
    )
    bus.app.ledger = SQLiteLedger(bus.settings.home)
    connect, asked = bus.app.connection_for_write, []

    def connecting(**options):
        asked.extend(options.values())
        return connect(**options)

    monkeypatch.setattr(bus.app, "connection_for_write", connecting)

    client.submit(bus, "p.greet", [], {}, waits)
    client._Away(bus, lambda line: None).look(waits)

    assert asked == [seconds, seconds]
