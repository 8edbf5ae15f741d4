"""Results through Celery's own interface, and what doors tell of them."""

import pytest
from celery import group
from celery.exceptions import (
    SoftTimeLimitExceeded,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)
from celery.result import GroupResult

from menos_bus import InvalidCall, TaskFailed, UnknownTaskId
from menos_bus.errors import FieldProblem
from menos_bus.messages.depths import queue_depths
from menos_bus.outcomes.outcome import Outcome


def greet(who: str = "Ada") -> str:
    return who


@pytest.fixture
def bus(make_plugin, make_bus):
    return make_bus(make_plugin("p", greet))


def test_an_unknown_id_is_unknown_and_not_pending(bus):
    with pytest.raises(UnknownTaskId, match=r"'nobody'.*168 h"):
        bus.outcome("nobody")


def test_an_accepted_call_is_pending(bus):
    task_id = bus.submit("p.greet")

    assert bus.outcome(task_id).as_json() == {"task_id": task_id, "state": "PENDING"}


@pytest.mark.parametrize("value", [None, 0, "", "text", [1, {"a": None}], {"ä": 1.5}, False])
def test_a_result_comes_back_as_it_was(bus, value):
    task_id = bus.submit("p.greet")

    bus.app.backend.mark_as_done(task_id, value)

    assert bus.outcome(task_id).as_json() == {
        "task_id": task_id,
        "state": "SUCCESS",
        "result": value,
    }
    assert bus.app.AsyncResult(task_id).get(timeout=5) == value


def test_a_failure_comes_back_with_code_message_and_tries(bus):
    task_id = bus.submit("p.greet")

    bus.app.backend.mark_as_failure(task_id, TaskFailed("no such video", "not_found", 3))

    assert bus.outcome(task_id).as_json() == {
        "task_id": task_id,
        "state": "FAILURE",
        "error": {"code": "not_found", "message": "no such video", "tries": 3},
    }
    with pytest.raises(TaskFailed) as caught:
        bus.app.AsyncResult(task_id).get(timeout=5)
    assert (caught.value.code, caught.value.message, caught.value.tries) == (
        "not_found",
        "no such video",
        3,
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WorkerLostError("died"), "worker_lost"),
        (TimeLimitExceeded(600), "time_limit"),
        (SoftTimeLimitExceeded(), "time_limit"),
        (TaskRevokedError("revoked"), "revoked"),
        (ValueError("what"), "internal_error"),
    ],
)
def test_an_end_that_celery_itself_made_has_a_code_too(bus, error, code):
    task_id = bus.submit("p.greet")

    bus.app.backend.mark_as_failure(task_id, error)

    outcome = bus.outcome(task_id)
    assert outcome.error["code"] == code
    assert outcome.error["message"]


def test_a_refused_call_keeps_its_message_as_a_result(bus):
    # Celery stores it when the next member of a chain is refused.
    task_id = bus.submit("p.greet")

    bus.app.backend.mark_as_failure(task_id, InvalidCall([FieldProblem("y", "unknown field")]))

    assert bus.outcome(task_id).error["message"] == "y: unknown field"


def test_progress_is_told_while_it_runs(bus):
    task_id = bus.submit("p.greet")
    told = {"stage": "embedding", "done": 1, "total": 2}

    bus.app.backend.store_result(task_id, told, "PROGRESS")

    outcome = bus.outcome(task_id)
    assert outcome.ready is False
    assert outcome.as_json() == {"task_id": task_id, "state": "PROGRESS", "progress": told}


@pytest.mark.parametrize("recover", ["requeue_running", "unfinished"])
def test_a_call_that_waits_again_is_told_as_waiting(bus, recover):
    task_id = bus.submit("p.greet")
    bus.app.backend.store_result(task_id, {"stage": "a", "done": 0, "total": 1}, "PROGRESS")

    getattr(bus.app.ledger, recover)()

    assert bus.outcome(task_id).as_json() == {"task_id": task_id, "state": "PENDING"}


@pytest.mark.parametrize(
    ("state", "ready"),
    [
        ("PENDING", False),
        ("STARTED", False),
        ("RETRY", False),
        ("SUCCESS", True),
        ("REVOKED", True),
    ],
)
def test_only_a_terminal_state_is_an_end(state, ready):
    assert Outcome("i", state).ready is ready


def test_a_result_can_be_forgotten_through_celery(bus):
    task_id = bus.submit("p.greet")
    bus.app.backend.mark_as_done(task_id, 1)

    bus.app.AsyncResult(task_id).forget()

    with pytest.raises(UnknownTaskId):
        bus.outcome(task_id)


def test_a_group_can_be_saved_and_restored_and_deleted(bus):
    made = group(bus.app.tasks["p.greet"].s(), bus.app.tasks["p.greet"].s("Eve")).apply_async()
    made.save()

    restored = GroupResult.restore(made.id, app=bus.app)
    assert [member.id for member in restored] == [member.id for member in made]

    restored.delete()
    assert GroupResult.restore(made.id, app=bus.app) is None


def test_queue_depths_name_every_queue_of_the_loaded_plugins(bus):
    bus.submit("p.greet")
    bus.submit("p.greet", kwargs={"priority": True})
    bus.app.backend.store_result(bus.submit("p.greet"), None, "STARTED")

    assert queue_depths(bus.app) == [
        {"name": "callbacks", "messages": 0, "running": 0},
        {"name": "celery", "messages": 0, "running": 0},
        {"name": "p", "messages": 1, "running": 1},
        {"name": "p.priority", "messages": 1, "running": 0},
    ]
