"""The ledger of a fleet on a real Redis."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from uuid import uuid4

import pytest
import redis

from conftest import REDIS
from menos_bus import BusUnavailable, CallConflict, UnknownTaskId
from menos_bus.outcomes import redis as module
from menos_bus.outcomes.ledger import Accepted, Entry
from menos_bus.outcomes.redis import RedisLedger

URL = f"redis://{REDIS}/6"


@pytest.fixture
def ledger(services):
    return RedisLedger(URL, 60)


@pytest.fixture
def store(services):
    return redis.Redis.from_url(URL, decode_responses=True)


def entry(task_id="", digest="d", **more):
    return Entry(task_id or str(uuid4()), "p.t", "p", digest, {}, **more)


def test_a_call_is_accepted_once_and_a_repetition_is_told(ledger):
    call = entry()

    assert ledger.accept(call) is Accepted.NEW
    ledger.published(call.task_id)

    assert ledger.accept(call) is Accepted.REPEATED
    with pytest.raises(CallConflict):
        ledger.accept(entry(call.task_id, "other"))
    assert (call.task_id in ledger, ledger.find(call.task_id).state) == (True, "PENDING")
    assert ("nothing" in ledger, ledger.find("nothing")) == (False, None)


def test_a_repetition_waits_for_the_one_that_is_publishing(ledger):
    call = entry()
    ledger.accept(call)
    threading.Timer(0.2, ledger.published, [call.task_id]).start()

    assert ledger.accept(call) is Accepted.REPEATED


def test_a_repetition_takes_over_what_could_not_be_published(ledger):
    call = entry()
    ledger.accept(call)
    threading.Timer(0.2, ledger.withdraw, [call.task_id]).start()

    assert ledger.accept(call) is Accepted.NEW


def test_a_publisher_that_died_blocks_nobody_for_long(ledger, monkeypatch):
    call = entry()
    ledger.accept(call)
    monkeypatch.setattr(module, "_PATIENCE", 0.1)

    with pytest.raises(BusUnavailable, match="submitted by somebody else"):
        ledger.accept(call)
    monkeypatch.setattr(module, "ABANDONED_SECONDS", 0.1)
    time.sleep(0.2)

    assert ledger.accept(call) is Accepted.NEW


def test_what_a_worker_has_taken_already_is_not_withdrawn(ledger):
    call = entry()
    ledger.accept(call)
    ledger.store(call.task_id, "STARTED", "{}")

    ledger.withdraw(call.task_id)

    assert ledger.find(call.task_id).state == "STARTED"


def test_the_first_terminal_state_stays(ledger, store):
    call = entry()
    ledger.accept(call)
    for state in ("STARTED", "FAILURE", "SUCCESS", "STARTED"):
        ledger.store(call.task_id, state, state)

    assert ledger.find(call.task_id).state == "FAILURE"
    assert store.get(f"celery-task-meta-{call.task_id}") == "FAILURE"


def test_starts_are_counted_anew_after_a_retry(ledger):
    call = entry()
    ledger.accept(call)
    counts = []
    for state in ("STARTED", "STARTED", "RETRY", "STARTED"):
        ledger.store(call.task_id, state, "{}")
        counts.append(ledger.find(call.task_id).starts)

    assert counts == [1, 2, 0, 1]


def test_a_call_that_sends_itself_again_keeps_its_token_while_it_is_known(ledger):
    call = entry(token="first")
    ledger.accept(call)
    again = replace(call, token="second")

    assert ledger.accept_again(again) == "first"
    ledger.forget(call.task_id)

    assert ledger.accept_again(again) == "second"
    found = ledger.find(call.task_id)
    assert (found.token, found.state, found.digest) == ("second", "PENDING", "d")


def test_a_call_of_the_time_before_tokens_sends_itself_again_without_one(ledger, store):
    call = entry(token="new")
    ledger.accept(call)
    store.hdel(f"menos:call:{call.task_id}", "token")

    assert ledger.accept_again(call) == ""
    assert ledger.find(call.task_id).token == ""


def test_a_waiting_call_is_kept_and_an_ended_one_expires(ledger, store):
    call = entry()
    ledger.accept(call)
    waiting = store.ttl(f"menos:call:{call.task_id}")
    ledger.store(call.task_id, "SUCCESS", "{}")

    assert waiting > 29 * 24 * 3600
    assert 0 < store.ttl(f"menos:call:{call.task_id}") <= 60
    assert 0 < store.ttl(f"celery-task-meta-{call.task_id}") <= 60


def test_a_callback_is_owed_from_the_end_until_somebody_takes_it(ledger, store):
    store.delete("menos:callbacks")
    call = entry(callback_url="https://example.org")
    ledger.accept(call)
    assert ledger.owed_callbacks() == []

    ledger.store(call.task_id, "SUCCESS", "{}")
    ledger.store(call.task_id, "SUCCESS", "{}")
    [owed] = ledger.owed_callbacks()
    assert (owed.task_id, owed.callback_url) == (call.task_id, "https://example.org")
    # It can be tried for days, and needs the outcome for as long.
    assert store.ttl(f"celery-task-meta-{call.task_id}") > 4 * 24 * 3600

    ledger.callback_taken(call.task_id)
    assert ledger.owed_callbacks() == []


def test_only_a_failed_call_is_reopened_and_its_rounds_are_counted(ledger):
    call = entry()
    ledger.accept(call)
    with pytest.raises(CallConflict):
        ledger.reopen(call.task_id)
    ledger.store(call.task_id, "FAILURE", "{}")

    assert (ledger.reopen(call.task_id).rounds, ledger.find(call.task_id).state) == (1, "PENDING")
    with pytest.raises(UnknownTaskId):
        ledger.reopen("nothing")


def test_a_store_that_is_away_is_told_in_time():
    ledger = RedisLedger("redis://127.0.0.1:1/0", 60)

    with pytest.raises(BusUnavailable, match="the result store does not answer"):
        ledger.accept(entry())
    with pytest.raises(BusUnavailable):
        ledger.find("x")
