"""What a caller may say at a door."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from menos_bus import InvalidCall
from menos_bus.tasks.envelope import (
    WEEK,
    Envelope,
    digest_of,
    foreign_call,
    split_reserved,
    validate_call,
)
from menos_bus.tasks.register import Registrar


def spec(function, **options):
    registrar = Registrar("hello")
    registrar(function, **options)
    return registrar.tasks[0]


def greet(who: str, times: int = 1) -> str:
    return who * times


def urgent(who: str, priority: bool = False) -> bool:
    return priority


def refusal(body):
    with pytest.raises(InvalidCall) as caught:
        Envelope.parse(body)
    return {problem.field: problem.reason for problem in caught.value.problems}


def test_all_allowed_fields_are_taken():
    envelope = Envelope.parse(
        b'{"args": ["Ada"], "kwargs": {"times": 2},'
        b' "task_id": "a-1", "countdown": 5, "expires": 60}'
    )

    assert (envelope.args, envelope.kwargs) == (["Ada"], {"times": 2})
    assert envelope.options == {"task_id": "a-1", "countdown": 5, "expires": 60}


@pytest.mark.parametrize("body", [b"", "", b"{}"])
def test_an_empty_body_is_a_call_without_arguments(body):
    envelope = Envelope.parse(body)

    assert (envelope.args, envelope.kwargs, envelope.options) == ([], {}, {})


@pytest.mark.parametrize(
    "field",
    ["queue", "serializer", "link", "link_error", "exchange", "routing_key", "headers", "retries"],
)
def test_an_option_that_callers_may_not_set_is_named(field):
    reasons = refusal(f'{{"{field}": "x"}}')

    assert reasons.keys() == {field}
    assert "unknown field (known: args, kwargs, task_id, countdown, eta, expires)" in reasons[field]


@pytest.mark.parametrize("body", [b"{", b"hello", b"\xff\xfe", b'{"args": [1,]}', b"{'args': []}"])
def test_a_body_that_is_not_json_says_so(body):
    assert "invalid JSON" in refusal(body)["body"]


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"args"', b"true"])
def test_a_body_that_is_no_object_says_so(body):
    assert "object" in refusal(body)["body"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"args": {}}', "args"),
        ('{"args": "Ada"}', "args"),
        ('{"kwargs": []}', "kwargs"),
        ('{"countdown": -1}', "countdown"),
        ('{"countdown": NaN}', "body"),
        ('{"countdown": Infinity}', "body"),
        ('{"countdown": "soon"}', "countdown"),
        (f'{{"countdown": {WEEK + 1}}}', "countdown"),
        ('{"eta": "tomorrow"}', "eta"),
        ('{"expires": "never"}', "expires"),
        ('{"task_id": 5}', "task_id"),
    ],
)
def test_a_field_with_a_wrong_value_is_named(body, field):
    assert {name.partition(".")[0] for name in refusal(body)} == {field}


def test_a_negative_time_to_live_is_refused():
    # A call that has expired already would be accepted and never run.
    assert any(name.startswith("expires") for name in refusal('{"expires": -5}'))


@pytest.mark.parametrize("task_id", ["a", "A-1_b.c:d", "0" * 128])
def test_a_caller_may_choose_the_task_id(task_id):
    assert Envelope.parse(f'{{"task_id": "{task_id}"}}').options == {"task_id": task_id}


@pytest.mark.parametrize(
    "task_id", ["", "-a", "a b", "a/b", "ä", "a\\n", "a" * 129, "../../etc", "%s"]
)
def test_a_task_id_that_could_not_stand_in_a_url_is_refused(task_id):
    assert refusal(f'{{"task_id": "{task_id}"}}').keys() == {"task_id"}


def test_a_time_without_a_zone_is_utc():
    soon = datetime.now(UTC) + timedelta(hours=3)
    text = soon.replace(tzinfo=None).isoformat()

    options = Envelope.parse(json.dumps({"eta": text, "expires": text})).options

    assert options["eta"] == options["expires"] == soon


def test_a_time_keeps_its_zone():
    zone = timezone(timedelta(hours=2))
    soon = datetime.now(zone) + timedelta(hours=3)

    options = Envelope.parse(json.dumps({"eta": soon.isoformat()})).options

    assert options["eta"] == soon
    assert options["eta"].utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("field", ["eta", "expires"])
@pytest.mark.parametrize(
    "moment",
    [
        "2099-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1999-01-01",
    ],
)
def test_a_time_that_is_far_away_is_refused(field, moment):
    with pytest.raises(InvalidCall, match=f"{field}: must be within a week"):
        _ = Envelope.parse(json.dumps({field: moment})).options


def test_countdown_and_eta_together_are_refused():
    envelope = Envelope.parse('{"countdown": 5, "eta": "2026-01-02T03:04:05Z"}')

    with pytest.raises(InvalidCall, match="eta: cannot be combined with countdown"):
        _ = envelope.options


def test_a_countdown_of_nothing_is_an_option_too():
    assert Envelope.parse('{"countdown": 0}').options == {"countdown": 0}


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_no_body_whatever_breaks_the_parser(body):
    try:
        envelope = Envelope.parse(body)
    except InvalidCall as error:
        problems = error.problems
    else:
        problems = None

    assert problems or isinstance(envelope.kwargs, dict)


# the call


def test_a_call_carries_its_arguments_by_name():
    call = validate_call(spec(greet), ["Ada"], {"times": "2"})

    assert call.task == "hello.greet"
    assert call.kwargs == {"who": "Ada", "times": "2"}
    assert (call.priority, call.idempotency_key, call.task_id) == (False, None, None)


def test_a_call_from_python_may_use_python_types_that_json_can_carry():
    def wake(at: datetime): ...

    call = validate_call(spec(wake), [datetime(2026, 1, 2, tzinfo=UTC)], {})

    assert call.kwargs == {"at": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize("value", [object(), b"\xff"], ids=["object", "bytes"])
def test_an_argument_that_json_cannot_carry_is_an_invalid_call(value):
    def echo(value): ...

    with pytest.raises(InvalidCall):
        validate_call(spec(echo), [value], {})


def test_an_argument_for_another_host_that_json_cannot_carry_is_an_invalid_call():
    with pytest.raises(InvalidCall):
        foreign_call("elsewhere.echo", [], {"value": object()})


def test_a_callback_url_is_taken_out_of_the_arguments():
    call = validate_call(spec(greet), ["Ada"], {"callback_url": "https://example.org/hook"})

    assert call.callback_url == "https://example.org/hook"
    assert call.kwargs == {"who": "Ada"}


@pytest.mark.parametrize("url", ["", 5, ["https://example.org"], "x" * 2049])
def test_a_callback_url_that_is_none_is_refused(url):
    with pytest.raises(InvalidCall, match="callback_url: "):
        validate_call(spec(greet), ["Ada"], {"callback_url": url})


def test_a_callback_url_of_null_is_none():
    assert validate_call(spec(greet), ["Ada"], {"callback_url": None}).kwargs == {"who": "Ada"}


def test_a_callback_url_of_a_wrong_type_is_named():
    with pytest.raises(InvalidCall, match="callback_url: input should be a valid string"):
        validate_call(spec(greet), ["Ada"], {"callback_url": 5})


def test_an_idempotency_key_gives_one_id_per_task_and_key():
    def call(function, key):
        return validate_call(spec(function), ["Ada"], {"idempotency_key": key}).task_id

    assert call(greet, "k") == call(greet, "k")
    assert call(greet, "k") != call(greet, "l")
    assert call(greet, "k") != call(urgent, "k")


def test_the_id_of_an_idempotency_key_is_a_uuid_that_every_host_computes_alike():
    call = validate_call(spec(greet), ["Ada"], {"idempotency_key": "k"})
    foreign = foreign_call("hello.greet", [], {"who": "Ada", "idempotency_key": "k"})

    assert str(UUID(call.task_id)) == call.task_id == foreign.task_id


def test_an_idempotency_key_does_not_reach_the_function():
    assert validate_call(spec(greet), ["Ada"], {"idempotency_key": "k"}).kwargs == {"who": "Ada"}


@pytest.mark.parametrize("key", ["", "k" * 256, 5, ["k"]])
def test_an_idempotency_key_that_is_no_short_text_is_refused(key):
    with pytest.raises(InvalidCall, match="idempotency_key: "):
        validate_call(spec(greet), ["Ada"], {"idempotency_key": key})


@pytest.mark.parametrize("value", ["true", 1, 0, "yes"])
def test_priority_is_true_or_false_and_nothing_alike(value):
    with pytest.raises(InvalidCall, match="priority: "):
        validate_call(spec(greet), ["Ada"], {"priority": value})


def test_priority_does_not_reach_a_function_that_does_not_declare_it():
    call = validate_call(spec(greet), ["Ada"], {"priority": True})

    assert call.priority is True
    assert call.kwargs == {"who": "Ada"}


@pytest.mark.parametrize("priority", [True, False])
def test_a_function_that_declares_priority_gets_its_value(priority):
    call = validate_call(spec(urgent), ["Ada"], {"priority": priority})

    assert call.priority is priority
    assert call.kwargs == {"who": "Ada", "priority": priority}


def test_a_function_that_declares_priority_keeps_its_default_where_nothing_was_said():
    assert validate_call(spec(urgent), ["Ada"], {}).kwargs == {"who": "Ada"}


def test_priority_may_be_given_by_its_place():
    assert validate_call(spec(urgent), ["Ada", True], {}).priority is True


def test_reserved_arguments_are_parted_from_the_others():
    reserved, arguments = split_reserved({"a": 1, "priority": True, "idempotency_key": "k"})

    assert reserved == {"priority": True, "idempotency_key": "k"}
    assert arguments == {"a": 1}


def test_a_call_of_a_task_elsewhere_takes_arguments_by_name_only():
    with pytest.raises(InvalidCall, match=r"args: tasks\.x is not installed here"):
        foreign_call("tasks.x", [1], {})


def test_a_call_of_a_task_elsewhere_has_its_reserved_arguments_checked():
    with pytest.raises(InvalidCall, match="priority"):
        foreign_call("tasks.x", [], {"priority": "high"})


def test_a_digest_is_the_same_for_the_same_call_in_any_order():
    assert digest_of("t", [], {"a": 1, "b": 2}) == digest_of("t", (), {"b": 2, "a": 1})


@pytest.mark.parametrize("other", [("u", [], {"a": 1}), ("t", [1], {"a": 1}), ("t", [], {"a": 2})])
def test_a_digest_differs_by_task_and_arguments(other):
    assert digest_of("t", [], {"a": 1}) != digest_of(*other)
