"""The ledger of one machine."""

import json
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from menos_bus import BusUnavailable, CallConflict
from menos_bus.outcomes import sqlite
from menos_bus.outcomes.ledger import Accepted, Entry
from menos_bus.outcomes.sqlite import FILE, SQLiteLedger, use_wal


def entry(task_id="i", *, queue="q", digest="d", message=None):
    return Entry(task_id, "p.task", queue, digest, message or {"body": [[], {"a": 1}, {}]})


@pytest.fixture
def ledger(tmp_path):
    return SQLiteLedger(tmp_path / "a" / "home")


def store(ledger, task_id, state, **meta):
    ledger.store(task_id, "p.task", state, {"status": state, **meta})


def age(ledger, seconds):
    """Make everything look this much older."""
    with sqlite3.connect(ledger.path) as db:
        db.execute("UPDATE calls SET updated_at = updated_at - ?", (seconds,))
        db.execute("UPDATE groups SET updated_at = updated_at - ?", (seconds,))


def test_an_accepted_call_can_be_found_as_it_was(ledger):
    assert ledger.accept(entry()) is Accepted.NEW

    found = ledger.find("i")
    assert (found.task_id, found.task, found.queue, found.digest) == ("i", "p.task", "q", "d")
    assert found.state == "PENDING"
    assert found.message == {"body": [[], {"a": 1}, {}]}
    assert 0 <= time.time() - found.accepted_at < 60


def test_the_folder_is_made_for_its_owner_only(ledger):
    assert stat.S_IMODE(ledger.path.parent.stat().st_mode) == 0o700


def test_what_was_never_accepted_is_not_found(ledger):
    assert ledger.find("nothing") is None
    assert ledger.meta("nothing") is None


def test_the_same_call_again_is_a_repetition(ledger):
    ledger.accept(entry())

    assert ledger.accept(entry(message={"other": 1})) is Accepted.REPEATED
    assert ledger.find("i").message == {"body": [[], {"a": 1}, {}]}


def test_a_repetition_is_one_after_the_end_too(ledger):
    ledger.accept(entry())
    store(ledger, "i", "SUCCESS", result=1)

    assert ledger.accept(entry()) is Accepted.REPEATED
    assert ledger.meta("i")["result"] == 1


def test_another_call_under_the_same_id_is_a_conflict(ledger):
    ledger.accept(entry())

    with pytest.raises(CallConflict, match=r"i: .*used before for another call"):
        ledger.accept(entry(digest="other"))
    assert ledger.find("i").digest == "d"


def test_a_call_that_was_withdrawn_was_never_there(ledger):
    ledger.accept(entry())

    ledger.withdraw("i")

    assert ledger.find("i") is None
    assert ledger.accept(entry(digest="other")) is Accepted.NEW


def test_a_call_that_runs_already_cannot_be_withdrawn(ledger):
    ledger.accept(entry())
    store(ledger, "i", "STARTED")

    ledger.withdraw("i")

    assert ledger.find("i").state == "STARTED"


def test_the_message_of_a_call_that_sends_itself_again_is_replaced(ledger):
    ledger.accept(entry())

    ledger.accept_again(entry(queue="q.priority", message={"retries": 1}))

    found = ledger.find("i")
    assert (found.queue, found.message) == ("q.priority", {"retries": 1})


@pytest.mark.parametrize("end", ["SUCCESS", "FAILURE", "REVOKED"])
@pytest.mark.parametrize("late", ["STARTED", "PROGRESS", "RETRY", "FAILURE", "SUCCESS", "PENDING"])
def test_the_end_of_a_call_is_never_overwritten(ledger, end, late):
    ledger.accept(entry())
    store(ledger, "i", end, result="first")

    store(ledger, "i", late, result="second")

    assert ledger.find("i").state == end
    assert ledger.meta("i") == {"status": end, "result": "first"}


def test_a_result_for_a_call_that_was_never_accepted_is_kept(ledger):
    store(ledger, "i", "FAILURE", result="no")

    assert ledger.find("i").state == "FAILURE"
    assert ledger.meta("i")["result"] == "no"


def test_arguments_are_dropped_when_a_call_has_succeeded_and_kept_when_it_failed(ledger):
    for task_id, state in (("good", "SUCCESS"), ("bad", "FAILURE")):
        ledger.accept(entry(task_id))
        store(ledger, task_id, state)

    assert ledger.find("good").message == {}
    assert ledger.find("bad").message == entry().message


def test_a_call_can_be_forgotten(ledger):
    ledger.accept(entry())

    ledger.forget("i")

    assert ledger.find("i") is None


def test_everything_survives_another_start(ledger):
    ledger.accept(entry())
    store(ledger, "i", "STARTED")

    again = SQLiteLedger(ledger.path.parent)

    assert again.find("i").state == "STARTED"


def test_depths_count_what_has_not_ended_per_queue_and_state(ledger):
    for task_id, queue, state in [
        ("a", "q", None),
        ("b", "q", None),
        ("c", "q", "STARTED"),
        ("d", "r", "RETRY"),
        ("e", "q", "SUCCESS"),
        ("f", "s", "FAILURE"),
    ]:
        ledger.accept(entry(task_id, queue=queue))
        if state:
            store(ledger, task_id, state)

    assert ledger.depths() == {"q": {"PENDING": 2, "STARTED": 1}, "r": {"RETRY": 1}}


# recovery


def test_what_has_not_ended_is_given_oldest_first(ledger):
    for task_id in ("c", "a", "b", "ended"):
        ledger.accept(entry(task_id))
    store(ledger, "b", "RETRY")
    store(ledger, "ended", "SUCCESS")

    unfinished = ledger.unfinished()

    assert [(found.task_id, found.starts) for found in unfinished] == [
        ("c", 0),
        ("a", 0),
        ("b", 0),
    ]
    assert unfinished[0].message == entry().message


@pytest.mark.parametrize("state", ["STARTED", "PROGRESS"])
def test_a_call_that_is_found_running_was_cut_off_once_more(ledger, state):
    ledger.accept(entry())

    counts = []
    for _ in range(3):
        store(ledger, "i", state)
        [found] = ledger.unfinished()
        counts.append((found.state, found.starts))

    assert counts == [("PENDING", 1), ("PENDING", 2), ("PENDING", 3)]


def test_a_call_that_only_waited_was_not_cut_off(ledger):
    ledger.accept(entry())

    ledger.unfinished()
    [found] = ledger.unfinished()

    assert found.starts == 0


def test_what_an_orderly_stop_interrupts_waits_again_and_was_not_cut_off(ledger):
    for task_id, state in (("a", "STARTED"), ("b", "PROGRESS"), ("c", "RETRY"), ("d", "SUCCESS")):
        ledger.accept(entry(task_id))
        store(ledger, task_id, state)

    ledger.requeue_running()

    assert [ledger.find(i).state for i in "abcd"] == ["PENDING", "PENDING", "RETRY", "SUCCESS"]
    assert {found.starts for found in ledger.unfinished()} == {0}


# expiry


def test_only_what_ended_long_ago_expires(ledger):
    for task_id, state in (("old", "SUCCESS"), ("failed", "FAILURE"), ("waits", "RETRY")):
        ledger.accept(entry(task_id))
        store(ledger, task_id, state)
    ledger.accept(entry("pending"))
    age(ledger, 100)
    ledger.accept(entry("new"))
    store(ledger, "new", "SUCCESS")

    ledger.expire(50)

    assert [i for i in ("old", "failed", "waits", "pending", "new") if ledger.find(i)] == [
        "waits",
        "pending",
        "new",
    ]
    # Its id is free then, for any call.
    assert ledger.accept(entry("old", digest="other")) is Accepted.NEW


def test_groups_are_kept_forgotten_and_expire(ledger):
    for name in "abc":
        ledger.store_group(name, [name])
    age(ledger, 100)
    ledger.store_group("b", ["again"])
    ledger.store_group("d", [])
    ledger.forget_group("c")

    ledger.expire(50)

    assert [ledger.group(name) for name in "abcd"] == [None, ["again"], None, []]


# more than one writer


def test_of_many_threads_exactly_one_accepts_a_call(ledger):
    with ThreadPoolExecutor(8) as pool:
        answers = [
            list(pool.map(lambda _, i=i: ledger.accept(entry(f"i{i}")), range(8)))
            for i in range(20)
        ]

    assert {tuple(answer).count(Accepted.NEW) for answer in answers} == {1}


ACCEPTING = """
import sys
from pathlib import Path
from menos_bus.outcomes.ledger import Accepted, Entry
from menos_bus.outcomes.sqlite import SQLiteLedger

ledger = SQLiteLedger(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
entries = [Entry(f"i{n}", "t", "q", "d", {}) for n in range(200)]
print(sum(ledger.accept(entry) is Accepted.NEW for entry in entries))
"""


def test_of_two_processes_exactly_one_accepts_each_call(tmp_path):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", ACCEPTING, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    counts = [int(process.communicate(timeout=30)[0]) for process in both]

    assert sum(counts) == 200
    assert len(SQLiteLedger(tmp_path).unfinished()) == 200


def test_a_write_that_fails_leaves_nothing_and_the_next_one_works(ledger):
    with pytest.raises(TypeError):
        ledger.store_group("g", object())
    with pytest.raises(TypeError):
        ledger.store("i", "t", "SUCCESS", {"result": object()})

    ledger.accept(entry("j"))

    assert ledger.find("i") is None
    assert ledger.find("j") is not None


@pytest.mark.parametrize(
    "use",
    [
        lambda ledger: "i" in ledger,
        lambda ledger: ledger.find("i"),
        lambda ledger: ledger.meta("i"),
        lambda ledger: ledger.depths(),
        lambda ledger: ledger.failed(),
        lambda ledger: ledger.owed_callbacks(),
        lambda ledger: ledger.take_reopened(),
        lambda ledger: ledger.accept(entry()),
        lambda ledger: ledger.discard("i"),
        lambda ledger: store(ledger, "i", "STARTED"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_words_whatever_is_asked(ledger, use):
    with sqlite3.connect(ledger.path) as db:
        db.execute("DROP TABLE calls")

    with pytest.raises(BusUnavailable, match=r"ledger\.sqlite3 cannot be used \(no such table"):
        use(ledger)


def test_only_for_those_who_use_the_file_is_it_waited(tmp_path, monkeypatch):
    path = tmp_path / "read-only"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE x (a)")
    monkeypatch.setattr(sqlite.time, "sleep", lambda seconds: pytest.fail("waited"))

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        use_wal(sqlite3.connect(f"file:{path}?mode=ro", uri=True))


def test_a_full_disk_is_told_as_such_and_the_next_call_is_taken_when_there_is_space(ledger):
    ledger._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(BusUnavailable, match="disk is full"):
        ledger.accept(entry(message={"body": "x" * 10_000_000}))

    ledger._connection.execute("PRAGMA max_page_count = 1000000")

    assert ledger.accept(entry()) is Accepted.NEW


def test_the_file_is_json_and_text_that_an_operator_can_read(ledger):
    ledger.accept(entry())

    with sqlite3.connect(ledger.path) as db:
        [(task, message)] = db.execute("SELECT task, message FROM calls")

    assert ledger.path.name == FILE
    assert task == "p.task"
    assert json.loads(message) == entry().message
