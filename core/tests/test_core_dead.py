"""``menos-bus dead`` where something goes wrong on the way, on the ledger of one machine."""

import json
import sqlite3

import pytest
from click.testing import CliRunner

from menos_bus.cli.main import main


@pytest.fixture
def ledger(make_bus, make_plugin, monkeypatch):
    """The ledger that the command finds, with three failed calls: ``a``, ``b`` and ``c``."""

    def greet(): ...

    bus = make_bus(make_plugin("p", greet))
    monkeypatch.setenv("MENOS_HOME", str(bus.settings.home))
    for task_id in "abc":
        bus.submit("p.greet", task_id=task_id)
        failed = {"status": "FAILURE", "result": None}
        bus.app.ledger.store(task_id, "p.greet", "FAILURE", failed)
    return bus.app.ledger


@pytest.fixture
def broken(ledger):
    """The same, of which nothing can be written any more as soon as one letter was dealt with."""
    with sqlite3.connect(ledger.path) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON calls"
            " WHEN EXISTS (SELECT 1 FROM calls WHERE reopened OR discarded)"
            " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    return ledger


def run(*words):
    return CliRunner().invoke(main, ["dead", *words])


@pytest.mark.parametrize("command", ["replay", "discard"])
def test_what_was_dealt_with_before_an_error_is_told_and_the_others_stay(broken, command):
    ended = run(command, "--all")

    done = f"{command.rstrip('e')}ed"
    left = {entry.task_id for entry, _ in broken.failed()}
    [dealt] = {*"abc"} - left
    assert ended.exit_code == 2
    assert ended.stdout == f"{dealt} {done}\n"
    assert ended.stderr.startswith(f"Error: 1 {done}, then the ledger ")
    assert "disk full" in ended.stderr
    assert ended.stderr.endswith("; the others are dead letters still\n")


def test_a_program_is_told_what_was_dealt_with_and_the_error_at_once(broken):
    ended = run("replay", "--all", "--json")

    told = json.loads(ended.stdout)
    assert (len(told["replayed"]), told["error"]["code"]) == (1, "unavailable")
    assert ended.exit_code == 2


def test_where_no_bus_ever_ran_it_says_so_and_leaves_no_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("MENOS_HOME", str(tmp_path / "wrong"))

    ended = run("list")

    assert ended.exit_code == 2
    assert f"no bus is running on the data folder {tmp_path / 'wrong'}" in ended.stderr
    assert not (tmp_path / "wrong").exists()


def test_ids_that_are_no_letters_do_not_hide_what_was_dealt_with(ledger):
    ended = run("discard", "a", "x", "--json")

    assert json.loads(ended.stdout) == {
        "discarded": ["a"],
        "error": {"code": "unknown_task_id", "message": "no dead letter has the id x"},
    }
    assert ended.exit_code == 2


def test_a_call_that_was_taken_up_again_meanwhile_is_not_discarded(ledger):
    ledger.reopen("a")

    assert not ledger.discard("a")

    assert ledger.find("a").message
