"""One task that runs another many times, and waits for all without keeping its worker."""

import time
from datetime import datetime

import pytest

from menos_bus import Permanent, PluginError, fan_out
from menos_bus.testing import TestBus

WORDS = ("one", "two", "three")


def shout(word: str) -> str:
    """Say it loud."""
    if word == "quiet":
        raise Permanent("no", code="too_quiet")
    return word.upper()


def shout_all(words: list[str]) -> dict[str, str]:
    """Say all of them loud."""
    calls = {word: {"word": word} for word in words}
    ended = fan_out("choir.shout", calls, stage="shouting")
    return {
        word: outcome.result if outcome.state == "SUCCESS" else outcome.error["code"]
        for word, outcome in ended.items()
    }


@pytest.fixture
def choir(make_plugin):
    return make_plugin("choir", shout, shout_all)


def members(bus):
    """The ids of the calls that were accepted for the parts, in their order."""
    rows = bus.app.ledger._connection.execute(
        "SELECT task_id FROM calls WHERE task = 'choir.shout' ORDER BY rowid"
    )
    return [row[0] for row in rows]


def test_in_a_test_bus_the_parts_run_where_they_are_called(choir):
    result = TestBus(choir).call("choir.shout_all", [*WORDS, "quiet"])

    assert result == {"one": "ONE", "two": "TWO", "three": "THREE", "quiet": "too_quiet"}


def test_it_waits_with_progress_and_ends_when_all_have_ended(choir, make_bus, run_as_worker):
    bus = make_bus(choir)
    parent = bus.submit("choir.shout_all", [list(WORDS)])

    started = run_as_worker(bus, parent)
    first, *others = members(bus)
    run_as_worker(bus, first)
    between = run_as_worker(bus, parent)
    for other in others:
        run_as_worker(bus, other)
    ended = run_as_worker(bus, parent)

    assert (started.state, started.error) == ("PROGRESS", None)
    assert started.progress == {"stage": "shouting", "done": 0, "total": 3}
    assert between.progress == {"stage": "shouting", "done": 1, "total": 3}
    assert ended.result == {"one": "ONE", "two": "TWO", "three": "THREE"}


def test_a_look_goes_ahead_of_the_parts_without_being_a_call_with_priority(
    choir, make_bus, run_as_worker
):
    bus = make_bus(choir)
    parent = bus.submit("choir.shout_all", [list(WORDS)])

    run_as_worker(bus, parent)

    look = bus.app.ledger.find(parent)
    assert look.queue == "choir.priority"
    assert not look.message["headers"].get("menos_priority")
    assert {bus.app.ledger.find(each).queue for each in members(bus)} == {"choir"}


def test_looking_again_submits_nothing_twice(choir, make_bus, run_as_worker):
    bus = make_bus(choir)
    parent = bus.submit("choir.shout_all", [list(WORDS)])

    for _ in range(4):
        run_as_worker(bus, parent)

    assert len(members(bus)) == 3


def test_a_part_that_was_never_accepted_is_submitted_at_the_next_look(
    choir, make_bus, run_as_worker
):
    bus = make_bus(choir)
    parent = bus.submit("choir.shout_all", [list(WORDS)])
    run_as_worker(bus, parent)
    before = members(bus)
    # As when the process died before it got to this one.
    bus.app.ledger.forget(before[1])

    run_as_worker(bus, parent)

    assert sorted(members(bus)) == sorted(before)


def test_two_calls_have_parts_of_their_own(choir, make_bus, run_as_worker):
    bus = make_bus(choir)
    for _ in range(2):
        run_as_worker(bus, bus.submit("choir.shout_all", [list(WORDS)]))

    assert len(set(members(bus))) == 6


def test_the_parts_are_one_celery_group(choir, make_bus, run_as_worker):
    bus = make_bus(choir)
    run_as_worker(bus, bus.submit("choir.shout_all", [list(WORDS)]))

    groups = {bus.app.ledger.find(each).message["headers"]["group"] for each in members(bus)}

    assert len(groups) == 1
    assert groups != {None}


@pytest.mark.parametrize(("age", "wait"), [(0, 1), (200, 10), (1e6, 60)])
def test_the_longer_it_takes_the_seldomer_it_looks(choir, make_bus, run_as_worker, age, wait):
    bus = make_bus(choir)
    parent = bus.submit("choir.shout_all", [list(WORDS)])
    bus.app.ledger._connection.execute(
        "UPDATE calls SET accepted_at = accepted_at - ? WHERE task_id = ?", (age, parent)
    )

    run_as_worker(bus, parent)

    eta = bus.app.ledger.find(parent).message["headers"]["eta"]
    assert datetime.fromisoformat(eta).timestamp() - time.time() == pytest.approx(wait, abs=1)


def test_it_works_in_a_task_only():
    with pytest.raises(PluginError, match="inside a running task"):
        fan_out("choir.shout", {"one": {"word": "one"}})
