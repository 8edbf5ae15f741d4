"""The public names, the error tree and the documentation of the hooks."""

import inspect
import pickle

import pytest

import menos_bus
from menos_bus import errors
from menos_bus.plugins.hookspecs import HookSpecs

PUBLIC = [
    "Bus",
    "BusError",
    "BusSettings",
    "BusUnavailable",
    "CallConflict",
    "CallError",
    "Check",
    "Deferred",
    "InvalidCall",
    "Permanent",
    "PluginError",
    "Proceed",
    "Quota",
    "QuotaExceeded",
    "Retryable",
    "SettingsError",
    "TaskError",
    "TaskFailed",
    "UnknownQuota",
    "UnknownTask",
    "UnknownTaskId",
    "Wait",
    "Wanted",
    "__version__",
    "extensions",
    "fan_out",
    "hookimpl",
    "progress",
    "send",
    "task_id",
    "task_threads",
]

CODES = {
    "BusError": "bus_error",
    "BusUnavailable": "unavailable",
    "CallConflict": "conflict",
    "CallError": "call_error",
    "Deferred": "deferred",
    "InvalidCall": "invalid_call",
    "Permanent": "permanent",
    "PluginError": "plugin_error",
    "QuotaExceeded": "quota_exceeded",
    "Retryable": "retryable",
    "SettingsError": "settings",
    "TaskError": "task_error",
    "UnknownQuota": "unknown_quota",
    "UnknownTask": "unknown_task",
    "UnknownTaskId": "unknown_task_id",
}

HOOKS = {name: hook for name, hook in vars(HookSpecs).items() if inspect.isfunction(hook)}


def test_the_public_names_change_only_on_purpose():
    assert menos_bus.__all__ == PUBLIC
    assert [name for name in PUBLIC if not hasattr(menos_bus, name)] == []


def test_every_public_name_is_documented():
    undocumented = [
        name
        for name in PUBLIC
        if name != "__version__" and not inspect.getdoc(getattr(menos_bus, name))
    ]

    assert undocumented == []


def test_the_package_is_marked_as_typed():
    from importlib.resources import files

    assert files("menos_bus").joinpath("py.typed").is_file()


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_the_code_of_an_error_never_changes(name, code):
    assert getattr(errors, name).code == code


def test_every_error_is_in_the_tree_and_in_the_drawing_of_it():
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, BaseException)
    ]

    assert all(issubclass(error, errors.BusError) for error in classes)
    assert [error.__name__ for error in classes if error.__name__ not in errors.__doc__] == []


@pytest.mark.parametrize(
    ("error", "status"),
    [("UnknownTask", 404), ("InvalidCall", 422), ("CallConflict", 409), ("BusUnavailable", 503)],
)
def test_a_refused_call_has_its_http_status(error, status):
    assert getattr(errors, error).status == status


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidCall([errors.FieldProblem("who", "required")]),
        errors.TaskFailed("no", "not_found", 3),
        errors.CallConflict.of("i"),
    ],
)
def test_an_error_passes_from_process_to_process(error):
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert (copy.message, copy.code, str(copy)) == (error.message, error.code, str(error))


def test_a_failed_task_counts_its_tries_in_words():
    assert str(errors.TaskFailed("no", "gone", 1)) == "no (gone, after 1 try)"
    assert str(errors.TaskFailed("no", "gone", 2)) == "no (gone, after 2 tries)"


def test_there_are_hooks():
    assert "register_tasks" in HOOKS


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_says_when_it_fires_and_what_happens_if_it_raises(name):
    text = " ".join((inspect.getdoc(HOOKS[name]) or "").split())

    assert "Fires " in text
    policies = [f"Policy: {policy}." for policy in ("declaration", "decision", "notification")]
    assert any(policy in text for policy in policies) or "that raises" in text


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_documents_types_of_all_its_arguments(name):
    signature = inspect.signature(HOOKS[name])
    arguments = [p for p in signature.parameters.values() if p.name != "self"]

    assert [p.name for p in arguments if p.annotation is p.empty] == []
    assert signature.return_annotation is not signature.empty
