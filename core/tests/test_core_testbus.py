"""The kit for plugin authors: the bus's validation and error policy without a broker."""

from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from menos_bus import (
    InvalidCall,
    Permanent,
    PluginError,
    Proceed,
    Retryable,
    TaskFailed,
    UnknownTask,
    Wait,
    progress,
    send,
)
from menos_bus.testing import TestBus


class Answer(BaseModel):
    text: str


def greet(who: str, times: int = 1) -> str:
    return f"hello {who} " * times


def failing(*errors):
    """A task that raises these, one per try, and then returns how often it was tried."""
    left = list(errors)

    def flaky() -> int:
        if left:
            raise left.pop(0)
        return len(errors) + 1

    return flaky


def failure_of(bus, name, *args, **kwargs):
    with pytest.raises(TaskFailed) as caught:
        bus.call(name, *args, **kwargs)
    return caught.value


def test_a_task_is_called_with_converted_arguments(make_plugin):
    assert TestBus(make_plugin("hello", greet)).call("hello.greet", "Ada", times="2") == (
        "hello Ada hello Ada "
    )


def test_a_result_comes_back_as_a_caller_at_a_door_gets_it(make_plugin):
    def answer() -> Answer:
        return Answer(text="yes")

    assert TestBus(make_plugin("hello", answer)).call("hello.answer") == {"text": "yes"}


def test_wrong_arguments_raise_without_running_the_task(make_plugin):
    ran = []

    def note(text: str):
        ran.append(text)

    with pytest.raises(InvalidCall, match="text"):
        TestBus(make_plugin("hello", note)).call("hello.note", 5)
    assert ran == []


def test_an_unknown_task_raises(make_plugin):
    with pytest.raises(UnknownTask):
        TestBus(make_plugin("hello", greet)).call("hello.great")


def test_a_task_that_passes_later_is_tried_again(make_plugin):
    bus = TestBus(make_plugin("p", failing(Retryable("a"), OSError("b"))))

    assert bus.call("p.flaky") == 3


def test_a_task_that_never_passes_is_tried_once_and_as_often_as_max_retries_says(make_plugin):
    errors = [Retryable(f"no {n}", code="busy") for n in range(9)]
    bus = TestBus(make_plugin("p", failing(*errors), max_retries=2))

    failure = failure_of(bus, "p.flaky")

    assert (failure.code, failure.message, failure.tries) == ("busy", "no 2", 3)


def test_a_permanent_failure_is_not_tried_again(make_plugin):
    bus = TestBus(make_plugin("p", failing(Permanent("gone", code="not_found"))))

    failure = failure_of(bus, "p.flaky")

    assert (failure.code, failure.message, failure.tries) == ("not_found", "gone", 1)


def test_a_failure_after_retries_tells_the_last_error(make_plugin):
    bus = TestBus(make_plugin("p", failing(OSError("first"), Permanent("second", code="c"))))

    failure = failure_of(bus, "p.flaky")

    assert (failure.code, failure.message, failure.tries) == ("c", "second", 2)


def test_an_unforeseen_exception_is_an_internal_error(make_plugin):
    bus = TestBus(make_plugin("p", failing(KeyError("title")), max_retries=0))

    failure = failure_of(bus, "p.flaky")

    assert (failure.code, failure.message) == ("internal_error", "KeyError: 'title'")


def test_a_task_that_calls_sys_exit_fails_and_leaves_the_process_alone(make_plugin):
    bus = TestBus(make_plugin("p", failing(SystemExit(3)), max_retries=0))

    assert failure_of(bus, "p.flaky").tries == 1


def test_a_result_that_is_not_json_is_not_worth_another_try(make_plugin):
    def thing():
        return object()

    failure = failure_of(TestBus(make_plugin("p", thing)), "p.thing")

    assert (failure.code, failure.tries) == ("result_not_json", 1)


def test_an_exception_of_any_library_with_a_wait_that_is_no_number_is_still_told(make_plugin):
    class Odd(Exception):
        code, retryable, after = "odd", True, "soon"

    failure = failure_of(TestBus(make_plugin("p", failing(*[Odd("x")] * 9))), "p.flaky")

    assert (failure.code, failure.tries) == ("odd", 8)


def test_a_bound_task_gets_its_celery_task(make_plugin):
    def bound(self, who: str) -> str:
        return f"{self.name} {who}"

    assert TestBus(make_plugin("p", bound, bind=True)).call("p.bound", "Ada") == "p.bound Ada"


def test_priority_reaches_the_function_that_declares_it(make_plugin):
    def urgent(priority: bool = False) -> bool:
        return priority

    bus = TestBus(make_plugin("p", urgent))

    assert bus.call("p.urgent", priority=True) is True
    assert bus.call("p.urgent") is False


def test_progress_is_no_matter_in_a_test(make_plugin):
    def work() -> str:
        progress("reading", 1, 2)
        return "done"

    assert TestBus(make_plugin("p", work)).call("p.work") == "done"


def test_progress_is_no_matter_outside_of_any_task():
    assert progress("reading", 1, 2) is None


def test_what_a_task_sends_is_sent_on_the_bus_of_that_task(make_plugin):
    def forward() -> str:
        return send("p.greet", who="Ada")

    bus = TestBus(make_plugin("p", forward, greet))

    entry = bus.app.ledger.find(bus.call("p.forward"))
    assert (entry.task, entry.queue, entry.state) == ("p.greet", "p", "PENDING")


def test_the_plugin_of_a_submodule_is_named_after_its_package(make_plugin):
    module = make_plugin("hello", greet)
    module.__name__ = "menos_hello.plugin"

    assert TestBus(module).plugins[0].name == "hello"


def test_a_plugin_that_does_not_load_raises_with_the_reason(make_plugin):
    with pytest.raises(PluginError, match=r"plugin 'p' is failed: .*reserved"):
        TestBus(make_plugin("p", lambda callback_url: None, name="p.x"))


def test_a_plugin_without_any_hook_is_fine():
    assert TestBus(ModuleType("menos_empty")).plugins[0].tasks == []


def test_a_developer_whose_shell_belongs_to_a_fleet_can_test_too(make_plugin, monkeypatch):
    monkeypatch.setenv("MENOS_BROKER_URL", "amqp://rabbit")
    monkeypatch.setenv("MENOS_RESULT_BACKEND", "redis://redis")

    assert TestBus(make_plugin("hello", greet)).call("hello.greet", "Ada") == "hello Ada "


# hooks


def test_a_gate_that_says_proceed_lets_the_task_run(make_plugin):
    asked = []

    def acquire_quota(task, task_id, priority):
        asked.append((task, bool(task_id), priority))
        return Proceed()

    bus = TestBus(make_plugin("p", greet, hooks={"acquire_quota": acquire_quota}))

    assert bus.call("p.greet", "Ada", priority=True) == "hello Ada "
    assert asked == [("p.greet", True, True)]


def test_waiting_at_the_gate_costs_none_of_the_tries(make_plugin):
    answers = [Wait(1, "later"), Wait(1, "later"), Proceed()]

    bus = TestBus(
        make_plugin(
            "p",
            failing(Permanent("no")),
            max_retries=0,
            hooks={"acquire_quota": lambda: answers.pop(0)},
        )
    )

    assert failure_of(bus, "p.flaky").tries == 1
    assert answers == []


@pytest.mark.parametrize("error", [RuntimeError("store down"), SystemExit(1)])
def test_nothing_runs_while_the_gate_cannot_decide(make_plugin, error):
    ran, asked = [], []

    def note():
        ran.append(1)

    def acquire_quota():
        asked.append(1)
        if len(asked) > 50:
            pytest.fail("it is asked again and again")
        raise error

    bus = TestBus(make_plugin("p", note, hooks={"acquire_quota": acquire_quota}))

    failure = failure_of(bus, "p.note")

    assert "acquire_quota" in failure.message
    assert failure.code == "waiting_for_quota"
    assert ran == []


def test_the_end_of_a_task_is_told_once_with_its_result(make_plugin):
    told = []
    hooks = {
        "release_quota": lambda task, task_id, state: told.append((task, state)),
        "task_finished": lambda task, state, result: told.append((task, state, result)),
    }

    TestBus(make_plugin("p", failing(OSError("x")), hooks=hooks)).call("p.flaky")

    assert told == [("p.flaky", "SUCCESS"), ("p.flaky", "SUCCESS", 2)]


def test_the_end_of_a_failure_is_told_without_a_result(make_plugin):
    told = []
    hooks = {"task_finished": lambda state, result: told.append((state, result))}

    failure_of(TestBus(make_plugin("p", failing(Permanent("no")), hooks=hooks)), "p.flaky")

    assert told == [("FAILURE", None)]


@pytest.mark.parametrize("hook", ["release_quota", "task_finished"])
@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(1)])
def test_a_notification_that_raises_hurts_neither_the_task_nor_the_other_plugins(
    make_plugin, hook, error
):
    told = []

    def raises():
        raise error

    bus = TestBus(
        make_plugin("a", greet, hooks={hook: raises}),
        make_plugin("b", hooks={hook: lambda task: told.append(task)}),
    )

    assert bus.call("a.greet", "Ada") == "hello Ada "
    assert told == ["a.greet"]


@pytest.mark.parametrize("answer", [False, True, "yes", 0])
def test_a_gate_that_answers_something_else_keeps_the_task_from_running(make_plugin, answer):
    bus = TestBus(make_plugin("p", greet, hooks={"acquire_quota": lambda: answer}))

    failure = failure_of(bus, "p.greet", "Ada")

    assert failure.code == "waiting_for_quota"
    assert repr(answer) in failure.message


def test_a_priority_that_is_true_by_default_stays_so(make_plugin):
    def urgent(priority: bool = True) -> bool:
        return priority

    bus = TestBus(make_plugin("p", urgent))

    assert bus.call("p.urgent") is True
    assert bus.call("p.urgent", priority=False) is False


@pytest.mark.parametrize("value", [float("nan"), "half a pair: \ud800"])
def test_what_json_does_not_have_is_no_result(make_plugin, value):
    def give() -> Any:
        return {"value": value}

    assert failure_of(TestBus(make_plugin("p", give)), "p.give").code == "result_not_json"


@pytest.mark.parametrize("value", [float("inf"), "half a pair: \ud800"])
def test_what_json_does_not_have_is_no_argument(make_plugin, value):
    def take(value: dict[str, Any]) -> None: ...

    bus = TestBus(make_plugin("p", take))

    with pytest.raises(InvalidCall, match=r"value[:.]"):
        bus.call("p.take", {"inside": value})
