"""How a worker runs a task: retries, waits, priority, progress."""

import pytest

from menos_bus import Permanent, Proceed, Retryable, Wait, progress
from menos_bus.messages.dead_letters import Which, dead_letters


def urgent(priority: bool = False) -> bool:
    return priority


def busy(who: str = "Ada"):
    raise Retryable("come back", code="busy", after=90)


def test_a_task_that_ran_has_its_result(make_plugin, make_bus, run_as_worker):
    def greet(who: str) -> str:
        return f"hello {who}"

    bus = make_bus(make_plugin("p", greet))

    assert run_as_worker(bus, bus.submit("p.greet", ["Ada"])).result == "hello Ada"


def test_a_permanent_failure_ends_the_call(make_plugin, make_bus, run_as_worker):
    def gone():
        raise Permanent("no such video", code="not_found")

    bus = make_bus(make_plugin("p", gone))

    outcome = run_as_worker(bus, bus.submit("p.gone"))

    assert outcome.state == "FAILURE"
    assert outcome.error == {"code": "not_found", "message": "no such video", "tries": 1}


@pytest.mark.parametrize(("options", "letters"), [({}, 1), ({"dead_letter": False}, 0)])
def test_a_failure_is_a_dead_letter_unless_its_task_has_none(
    make_plugin, make_bus, run_as_worker, options, letters
):
    def gone():
        raise Permanent("no such video", code="not_found")

    bus = make_bus(make_plugin("p", gone, **options))

    outcome = run_as_worker(bus, bus.submit("p.gone"))

    assert outcome.error["code"] == "not_found"
    assert len(dead_letters(bus.app).find(Which())) == letters


def test_a_retry_keeps_the_id_and_the_arguments_and_says_why(make_plugin, make_bus, run_as_worker):
    bus = make_bus(make_plugin("p", busy))
    task_id = bus.submit("p.busy", ["Eve"])

    outcome = run_as_worker(bus, task_id)

    assert outcome.state == "RETRY"
    assert outcome.error == {"code": "busy", "message": "come back", "tries": 1}
    message = bus.app.ledger.find(task_id).message
    assert (message["headers"]["id"], message["headers"]["retries"]) == (task_id, 1)
    assert message["headers"]["eta"] is not None
    assert message["body"][1] == {"who": "Eve"}


def test_the_last_retry_ends_the_call_with_all_its_tries(make_plugin, make_bus, run_as_worker):
    bus = make_bus(make_plugin("p", busy, max_retries=2))
    task_id = bus.submit("p.busy")

    states = [run_as_worker(bus, task_id).state for _ in range(3)]

    assert states == ["RETRY", "RETRY", "FAILURE"]
    assert bus.outcome(task_id).error == {"code": "busy", "message": "come back", "tries": 3}


def test_a_retry_of_a_priority_call_is_one_too(make_plugin, make_bus, run_as_worker):
    bus = make_bus(make_plugin("p", busy))
    task_id = bus.submit("p.busy", kwargs={"priority": True})

    run_as_worker(bus, task_id)

    entry = bus.app.ledger.find(task_id)
    assert entry.queue == "p.priority"
    assert entry.message["headers"]["menos_priority"] is True


def test_a_key_of_a_call_that_is_being_retried_still_gives_that_call(
    make_plugin, make_bus, run_as_worker
):
    bus = make_bus(make_plugin("p", busy))
    task_id = bus.submit("p.busy", kwargs={"idempotency_key": "k"})
    run_as_worker(bus, task_id)

    assert bus.submit("p.busy", kwargs={"idempotency_key": "k"}) == task_id
    assert bus.app.ledger.find(task_id).message["headers"]["retries"] == 1


def test_a_task_that_calls_sys_exit_fails(make_plugin, make_bus, run_as_worker):
    def leave():
        raise SystemExit(3)

    bus = make_bus(make_plugin("p", leave, max_retries=0))

    assert run_as_worker(bus, bus.submit("p.leave")).state == "FAILURE"


def test_waiting_for_quota_is_told_and_costs_none_of_the_tries(
    make_plugin, make_bus, run_as_worker
):
    ran = []
    hooks = {"acquire_quota": lambda: Wait(30, "10,000 of 10,000 units are used")}

    def note():
        ran.append(1)

    bus = make_bus(make_plugin("p", note, max_retries=0, hooks=hooks))
    task_id = bus.submit("p.note")

    outcomes = [run_as_worker(bus, task_id) for _ in range(3)]

    assert {outcome.state for outcome in outcomes} == {"RETRY"}
    assert outcomes[-1].error["code"] == "waiting_for_quota"
    assert outcomes[-1].error["message"] == "10,000 of 10,000 units are used"
    assert bus.app.ledger.find(task_id).message["headers"]["retries"] == 0
    assert ran == []


def test_the_gate_is_told_the_task_its_id_and_its_priority(make_plugin, make_bus, run_as_worker):
    asked = []

    def acquire_quota(task, task_id, priority):
        asked.append((task, task_id, priority))
        return Proceed()

    bus = make_bus(make_plugin("p", urgent, hooks={"acquire_quota": acquire_quota}))
    calls = [bus.submit("p.urgent", kwargs={"priority": priority}) for priority in (True, False)]

    for task_id in calls:
        run_as_worker(bus, task_id)

    assert asked == [("p.urgent", calls[0], True), ("p.urgent", calls[1], False)]


@pytest.mark.parametrize("priority", [True, False])
def test_priority_reaches_the_function_that_declares_it(
    make_plugin, make_bus, run_as_worker, priority
):
    bus = make_bus(make_plugin("p", urgent))

    outcome = run_as_worker(bus, bus.submit("p.urgent", kwargs={"priority": priority}))

    assert outcome.result is priority


def test_priority_reaches_the_function_also_from_a_host_that_does_not_have_the_plugin(
    make_plugin, make_bus, run_as_worker
):
    bus = make_bus(make_plugin("p", urgent))
    # What `foreign_call` sends: the flag travels in the headers, the arguments have no such name.
    task_id = bus.submit("p.urgent", kwargs={"priority": True})
    entry = bus.app.ledger.find(task_id)
    entry.message["body"][1].pop("priority")
    bus.app.ledger.accept_again(entry)

    assert run_as_worker(bus, task_id).result is True


def test_a_message_from_elsewhere_with_wrong_arguments_fails_and_names_them(
    make_plugin, make_bus, run_as_worker
):
    bus = make_bus(make_plugin("p", urgent))
    task_id = bus.submit("p.urgent")
    entry = bus.app.ledger.find(task_id)
    entry.message["body"][1]["more"] = 1
    bus.app.ledger.accept_again(entry)

    outcome = run_as_worker(bus, task_id)

    assert outcome.error["code"] == "invalid_call"
    assert "more: unknown field" in outcome.error["message"]
    assert outcome.error["tries"] == 1


def test_progress_can_be_read_while_the_task_runs(make_plugin, make_bus, run_as_worker):
    seen = []

    def work(self) -> str:
        for done in (0, 2):
            progress("embedding", done, 2)
            seen.append(bus.outcome(self.request.id).progress)
        return "done"

    bus = make_bus(make_plugin("p", work, bind=True))

    assert run_as_worker(bus, bus.submit("p.work")).result == "done"
    assert seen == [{"stage": "embedding", "done": done, "total": 2} for done in (0, 2)]


def test_of_many_steps_at_one_moment_the_first_and_the_last_are_written(
    make_plugin, make_bus, run_as_worker
):
    written = set()

    def work(self):
        for done in range(10_001):
            progress("counting", done, 10_000)
            if done in (0, 1, 10_000):
                written.add(bus.outcome(self.request.id).progress["done"])
        progress("saving")
        written.add(bus.outcome(self.request.id).progress["stage"])

    bus = make_bus(make_plugin("p", work, bind=True))
    run_as_worker(bus, bus.submit("p.work"))

    assert {0, 10_000, "saving"} <= written


def test_what_was_told_is_not_written_again(make_plugin, make_bus, run_as_worker):
    def work() -> None:
        for _ in range(5):
            progress("counting", 10, 10)

    bus = make_bus(make_plugin("p", work))
    task_id = bus.submit("p.work")
    written = []
    store = bus.app.ledger.store
    bus.app.ledger.store = lambda *args: written.append(args[2]) or store(*args)
    run_as_worker(bus, task_id)

    assert written.count("PROGRESS") == 1


def test_the_end_is_told_after_it_is_stored(make_plugin, make_bus, run_as_worker):
    told = []

    def task_finished(task_id, state, result):
        told.append((state, result, bus.outcome(task_id).state))

    def greet() -> str:
        return "hello"

    bus = make_bus(make_plugin("p", greet, hooks={"task_finished": task_finished}))
    run_as_worker(bus, bus.submit("p.greet"))

    assert told == [("SUCCESS", "hello", "SUCCESS")]


def test_a_retry_is_not_an_end(make_plugin, make_bus, run_as_worker):
    told = []
    hooks = {"task_finished": lambda state: told.append(state)}
    bus = make_bus(make_plugin("p", busy, hooks=hooks))

    run_as_worker(bus, bus.submit("p.busy"))

    assert told == []


def test_options_that_the_bus_does_not_know_reach_celery(make_plugin, make_bus):
    bus = make_bus(make_plugin("p", urgent, time_limit=5, rate_limit="10/m"))

    task = bus.app.tasks["p.urgent"]
    assert (task.time_limit, task.rate_limit) == (5, "10/m")


def test_a_bus_serves_only_its_own_plugins(make_plugin, make_bus):
    first = make_bus(make_plugin("a", urgent))
    second = make_bus(make_plugin("b", urgent))

    assert "a.urgent" in first.app.tasks
    assert "a.urgent" not in second.app.tasks
