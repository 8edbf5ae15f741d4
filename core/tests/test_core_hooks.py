"""One typed caller per hook, each with its error policy."""

from types import ModuleType

import pluggy
import pytest

from menos_bus import Check, Proceed, Wait, hookimpl
from menos_bus.plugins.hooks import UNDECIDED_WAIT, Hooks


def hooks_of(**plugins):
    hooks = Hooks({"disk.place": {"/": "root"}}.get)
    for name, functions in plugins.items():
        module = ModuleType(name)
        for hook, function in functions.items():
            setattr(module, hook, hookimpl(function))
        hooks.add(name, module)
    return hooks


def raising(error):
    def implementation():
        raise error

    return implementation


def ask(hooks):
    return hooks.acquire_quota(task="t", task_id="i", priority=False)


def test_without_any_gate_nobody_decides():
    assert ask(hooks_of(a={})) is None


def test_the_first_answer_in_the_order_of_the_plugins_decides():
    asked = []

    def say(name, answer):
        def acquire_quota():
            asked.append(name)
            return answer

        return {"acquire_quota": acquire_quota}

    hooks = hooks_of(a=say("a", None), b=say("b", Wait(5, "b says so")), c=say("c", Proceed()))

    assert ask(hooks) == Wait(5, "b says so")
    assert asked == ["a", "b"]


def test_a_gate_that_raises_makes_the_task_wait_whatever_others_would_say():
    hooks = hooks_of(
        a={"acquire_quota": raising(RuntimeError("store down"))},
        b={"acquire_quota": lambda: Proceed()},
    )

    answer = ask(hooks)

    assert isinstance(answer, Wait)
    assert answer.seconds == UNDECIDED_WAIT
    assert "'a'" in answer.reason
    assert "store down" in answer.reason


def test_health_is_collected_from_every_plugin_in_order():
    hooks = hooks_of(
        b={"check_health": lambda: [Check("b1", True, "fine"), Check("b2", False, "not")]},
        a={"check_health": lambda: [Check("a1", True, "fine")]},
        c={},
        d={"check_health": lambda: None},
    )

    assert [check.name for check in hooks.check_health()] == ["b1", "b2", "a1"]


def test_a_health_hook_that_gives_something_else_than_checks_is_itself_reported():
    hooks = hooks_of(a={"check_health": lambda: [Check("a1", True, "fine"), "all is well"]})

    good, broken = hooks.check_health()

    assert good.ok
    assert not broken.ok
    assert "'all is well' is no Check" in broken.message


@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit(1)])
def test_a_health_hook_that_raises_is_itself_reported(error):
    def half():
        yield Check("a1", True, "fine")
        raise error

    hooks = hooks_of(a={"check_health": half}, b={"check_health": lambda: [Check("b", True, "")]})

    first, broken, last = hooks.check_health()

    assert (first.name, last.name) == ("a1", "b")
    assert (broken.name, broken.ok) == ("a", False)
    assert type(error).__name__ in broken.message
    assert "menos-a" in broken.fix


def test_a_declaration_hook_of_one_plugin_is_asked_alone():
    asked = []
    hooks = hooks_of(
        a={"register_tasks": lambda register: asked.append("a")},
        b={"register_tasks": lambda register: asked.append("b")},
    )

    hooks.register_tasks("b", print)

    assert asked == ["b"]


def test_the_hooks_of_a_plugin_are_listed():
    hooks = hooks_of(a={"check_health": lambda: None, "acquire_quota": lambda: None})

    assert hooks.implemented_by("a") == ["acquire_quota", "check_health"]
    assert hooks.implemented_by("b") == []


def test_a_plugin_that_was_removed_is_asked_no_more():
    asked = []
    hooks = hooks_of(a={"task_finished": lambda: asked.append("a")})

    hooks.remove("a")
    hooks.remove("a")
    hooks.task_finished(task="t", task_id="i", state="SUCCESS", result=None)

    assert asked == []


def test_a_check_sees_what_plugins_have_registered():
    def check_health(extensions):
        return [Check(name, True, found) for name, found in extensions("disk.place").items()]

    [check] = hooks_of(a={"check_health": check_health}).check_health()

    assert (check.name, check.message) == ("/", "root")


@pytest.mark.parametrize(
    "wrong",
    [{"register_task": lambda: None}, {"register_tasks": lambda register, more: None}],
    ids=["name", "argument"],
)
def test_nothing_of_a_plugin_with_a_wrong_hook_stays(wrong):
    asked = []
    good = {"check_health": lambda: asked.append("good") or []}
    hooks = hooks_of(good=good)
    module = ModuleType("bad")
    for hook, function in {"check_health": lambda: asked.append("bad"), **wrong}.items():
        setattr(module, hook, hookimpl(function))

    with pytest.raises(pluggy.PluginValidationError):
        hooks.add("bad", module)
    list(hooks.check_health())

    assert asked == ["good"]
