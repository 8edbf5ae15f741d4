"""What an embedded bus takes up again: at its start, and after ``dead replay``."""

import logging
import sqlite3

import pytest

from menos_bus.doors.recovery import put_back, recover, send_reopened
from menos_bus.messages.dead_letters import Which, dead_letters


def greet(who: str = "Ada") -> str:
    return who


@pytest.fixture
def bus(make_plugin, make_bus):
    """One that has not loaded the plugin ``gone``, of which a call is older than its own."""
    before = make_bus(make_plugin("gone", greet), make_plugin("back", greet))
    for task in ("gone.greet", "back.greet"):
        before.submit(task)
    purge(before.app)
    return make_bus(make_plugin("back", greet))


def purge(app):
    with app.connection_for_write() as connection:
        connection.default_channel.queue_purge("back")


def sent(app):
    with app.connection_for_write() as connection:
        return connection.default_channel.queue_declare("back", passive=True).message_count


def test_at_the_start_a_call_of_a_plugin_that_is_gone_waits_and_the_others_are_sent(bus, caplog):
    recover(bus.app, bus.app.ledger)

    assert sent(bus.app) == 1
    assert "no plugin that is loaded here has its queue 'gone'" in caplog.text


def test_what_is_taken_up_again_of_a_plugin_that_is_gone_does_not_keep_the_others(bus, caplog):
    ledger = bus.app.ledger
    for entry in ledger.unfinished():
        ledger.store(entry.task_id, entry.task, "FAILURE", {"status": "FAILURE", "result": None})
    assert len(list(dead_letters(bus.app).replay(Which()))) == 2

    send_reopened(bus.app, ledger)

    assert sent(bus.app) == 1
    assert "no plugin that is loaded here has its queue 'gone'" in caplog.text


def test_the_end_of_the_process_does_not_hang_on_the_ledger(bus, caplog):
    with sqlite3.connect(bus.app.ledger.path) as db:
        db.execute("DROP TABLE calls")

    with caplog.at_level(logging.WARNING):
        put_back(bus.app.ledger)

    assert "counts as cut off once" in caplog.text
