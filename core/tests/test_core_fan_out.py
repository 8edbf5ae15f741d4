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


def test_two_of_one_task_with_other_arguments_are_two(make_plugin, make_bus, run_as_worker):
    def both() -> list[str]:
        """Say two things."""
        said = []
        for word in ("left", "right"):
            said.append(fan_out("choir.shout", {"0": {"word": word}})["0"].result)
        return said

    bus = make_bus(make_plugin("choir", shout, both))
    parent = bus.submit("choir.both")
    for _ in range(2):
        run_as_worker(bus, parent)
        run_as_worker(bus, members(bus)[-1])

    assert run_as_worker(bus, parent).result == ["LEFT", "RIGHT"]


def test_taken_up_again_it_runs_what_had_failed_again_and_nothing_else(
    make_plugin, make_bus, run_as_worker
):
    ill = {"two"}

    def say(word: str) -> str:
        """Say it, if the voice is there."""
        if word in ill:
            raise Permanent("hoarse", code="hoarse")
        return word

    def all_or_nothing(words: list[str]) -> list[str]:
        """Say all."""
        ended = fan_out("choir.say", {word: {"word": word} for word in words})
        if any(outcome.state != "SUCCESS" for outcome in ended.values()):
            raise Permanent("incomplete", code="incomplete")
        return [outcome.result for outcome in ended.values()]

    bus = make_bus(make_plugin("choir", say, all_or_nothing))
    parent = bus.submit("choir.all_or_nothing", [list(WORDS)])
    run_as_worker(bus, parent)

    def parts():
        rows = bus.app.ledger._connection.execute(
            "SELECT task_id FROM calls WHERE task = 'choir.say' AND state = 'PENDING'"
        )
        return [row[0] for row in rows]

    for part in parts():
        run_as_worker(bus, part)
    failed = run_as_worker(bus, parent)
    ill.clear()
    bus.app.ledger.reopen(parent)
    run_as_worker(bus, parent)
    again = parts()
    for part in again:
        run_as_worker(bus, part)

    assert failed.error["code"] == "incomplete"
    assert len(again) == 1
    assert run_as_worker(bus, parent).result == list(WORDS)


def test_a_key_of_its_own_is_refused_before_anything_is_sent(make_plugin, make_bus, run_as_worker):
    def keyed() -> None:
        fan_out("choir.shout", {"a": {"word": "a"}, "b": {"word": "b", "idempotency_key": "k"}})

    bus = make_bus(make_plugin("choir", shout, keyed))

    outcome = run_as_worker(bus, bus.submit("choir.keyed"))

    assert outcome.error["code"] == "invalid_call"
    assert "b.idempotency_key" in outcome.error["message"]
    assert members(bus) == []


def test_a_call_that_cannot_be_keeps_the_others_from_being_sent(
    make_plugin, make_bus, run_as_worker
):
    def wrong() -> None:
        fan_out("choir.shout", {"a": {"word": "a"}, "b": {"wort": "b"}})

    bus = make_bus(make_plugin("choir", shout, wrong))

    outcome = run_as_worker(bus, bus.submit("choir.wrong"))

    assert outcome.error["code"] == "invalid_call"
    assert members(bus) == []


def test_a_call_that_waits_does_not_expire(choir, make_bus, run_as_worker):
    bus = make_bus(choir)
    parent = bus.submit("choir.shout_all", [list(WORDS)], expires=60)

    run_as_worker(bus, parent)

    assert bus.app.ledger.find(parent).message["headers"]["expires"] is None


def test_outcomes_are_kept_until_the_last_one_is_there(choir, make_bus, run_as_worker):
    bus = make_bus(choir, result_expires=3600)
    parent = bus.submit("choir.shout_all", [list(WORDS)])
    run_as_worker(bus, parent)
    run_as_worker(bus, members(bus)[0])
    older = bus.app.ledger._connection
    older.execute("UPDATE calls SET updated_at = updated_at - 3000")
    older.execute("UPDATE calls SET accepted_at = accepted_at - 3000 WHERE task_id = ?", (parent,))

    run_as_worker(bus, parent)
    bus.app.ledger.expire(2000)

    assert len(members(bus)) == 3


def test_what_it_holds_is_given_back_while_it_waits(make_plugin, make_bus, run_as_worker):
    told = []
    hooks = {"release_quota": lambda task, state: told.append((task, state))}
    bus = make_bus(make_plugin("choir", shout, shout_all, hooks=hooks))
    parent = bus.submit("choir.shout_all", [["one"]])

    run_as_worker(bus, parent)
    run_as_worker(bus, members(bus)[0])
    run_as_worker(bus, parent)

    assert told == [
        ("choir.shout_all", "RETRY"),
        ("choir.shout", "SUCCESS"),
        ("choir.shout_all", "SUCCESS"),
    ]
