"""What a message says: the three kinds that arrive, and everything else."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menos_bus.messages.arrival import Malformed, Outside, Own, read, read_outside
from menos_bus.outcomes.ledger import Entry

EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def body(value):
    return json.dumps(value).encode()


@pytest.mark.parametrize("headers", [{}, None, {"x-from": "n8n"}, [], 5])
@pytest.mark.parametrize("text", [True, False])
def test_plain_json_needs_no_headers_and_no_content_type(headers, text):
    said = body({"task": "p.greet", "args": ["Ada"]})

    call = read(headers, said.decode() if text else said)

    assert isinstance(call, Outside)
    assert (call.task, call.envelope.args, call.envelope.kwargs) == ("p.greet", ["Ada"], {})


def test_the_envelope_has_the_words_of_every_door():
    call = read(
        {},
        body({"task": "p.greet", "id": "i1", "kwargs": {"who": "Ada"}, "countdown": 3}),
    )

    assert call.envelope.options == {"task_id": "i1", "countdown": 3.0}


def test_protocol_1_as_celery_writes_it():
    call = read(
        {},
        body(
            {
                "task": "p.greet",
                "id": "i1",
                "args": ["Ada"],
                "kwargs": {},
                "group": None,
                "group_index": None,
                "retries": 0,
                "eta": None,
                "expires": "2026-01-31T12:00:00+00:00",
                "utc": True,
                "callbacks": None,
                "errbacks": None,
                "timelimit": [None, None],
                "taskset": None,
                "chord": None,
            }
        ),
    )

    assert (call.task, call.envelope.task_id, call.envelope.args) == ("p.greet", "i1", ["Ada"])
    assert call.envelope.expires is not None


def test_protocol_2_as_celery_writes_it():
    headers = {
        "lang": "py",
        "task": "p.greet",
        "id": "i1",
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": "i1",
        "parent_id": None,
        "argsrepr": "('Ada',)",
        "origin": "gen1@host",
        "ignore_result": False,
    }

    call = read(headers, body([["Ada"], {"times": 2}, EMBED]))

    assert isinstance(call, Outside)
    assert (call.envelope.task_id, call.envelope.kwargs) == ("i1", {"times": 2})


def test_a_header_may_name_the_task_of_a_body_without_one():
    call = read({"task": "p.greet", "id": "i1"}, body({"args": ["Ada"]}))

    assert (call.task, call.envelope.task_id) == ("p.greet", "i1")


def test_the_bus_knows_its_own_messages():
    headers = {"menos_accepted": "token", "task": "p.greet", "id": "i1"}

    own = read(headers, body([[], {"who": "Ada"}, EMBED]))

    assert own == Own("p.greet", "i1", "token")
    entry = Entry("i1", "p.greet", "p", "digest", {}, token="token")
    assert own.is_of(entry)
    assert not own.is_of(replace(entry, token="another"))
    assert not own.is_of(replace(entry, token=""))
    assert not own.is_of(None)


@pytest.mark.parametrize("said", [True, ""])
def test_a_call_of_the_time_before_tokens_is_the_bus_s_own(said):
    headers = {"menos_accepted": said, "task": "p.greet", "id": "i1"}

    own = read(headers, body([[], {"who": "Ada"}, EMBED]))

    entry = Entry("i1", "p.greet", "p", "digest", {})
    assert isinstance(own, Own)
    assert own.is_of(entry)
    assert not own.is_of(replace(entry, token="token"))


def test_what_could_not_be_in_the_ledger_is_read_as_a_call_from_outside():
    for wrong in ({"menos_accepted": 5}, {"id": 5}, {"id": None}):
        headers = {"menos_accepted": "token", "task": "p.greet", "id": "i1", **wrong}
        with pytest.raises(Malformed, match="timelimit"):
            read({**headers, "timelimit": "abc"}, body([[], {}, EMBED]))


def test_what_the_ledger_does_not_know_is_read_as_a_call_with_all_that_its_caller_said():
    headers = {
        "menos_accepted": "token",
        "menos_priority": True,
        "menos_callback_url": "https://example.org",
        "task": "p.greet",
        "id": "i1",
        "eta": None,
        "retries": 2,
        "timelimit": [None, None],
    }

    call = read_outside(headers, body([[], {"who": "Ada"}, EMBED]))

    assert (call.task, call.envelope.task_id) == ("p.greet", "i1")
    assert call.envelope.kwargs == {
        "who": "Ada",
        "priority": True,
        "callback_url": "https://example.org",
    }


@pytest.mark.parametrize(
    ("task", "embed", "reason"),
    [
        ("celery.map", EMBED, "task: .* the bus's own"),
        ("p.greet", EMBED | {"chain": [{"task": "x"}]}, "chain: is not taken"),
    ],
)
def test_what_only_the_bus_may_send_is_not_taken_from_what_says_to_be_its_own(task, embed, reason):
    headers = {"menos_accepted": "forged", "task": task, "id": "i1"}

    with pytest.raises(Malformed, match=reason):
        read_outside(headers, body([[], {}, embed]))


@pytest.mark.parametrize(
    ("headers", "said", "reason"),
    [
        ({}, b"", "body: not JSON"),
        ({}, b"\xff\xfe", "body: not JSON"),
        ({}, b"null", "body: must be"),
        ({}, b"[]", "body: must be"),
        ({}, b"[1]", "body: must be"),
        ({}, b'"text"', "body: must be"),
        ({}, b"NaN", "body: not JSON"),
        ({}, b"[" * 100_000, "body: not JSON"),
        ({}, b'{"a":' * 50_000, "body: not JSON"),
        ({}, b"{}", "task: must name a task"),
        ({}, body({"task": ["a"]}), "task: must name a task"),
        ({}, body({"task": ""}), "task: must name a task"),
        ({}, body({"task": "p.greet", "id": 5}), "id: must be"),
        ({}, body({"task": "p.greet", "id": ["i"]}), "id: must be"),
        ({}, body({"task": "p.greet", "id": "a b"}), "id: must be"),
        ({}, body({"task": "p.greet", "args": {"url": "u"}}), "args"),
        ({}, body({"task": "p.greet", "args": "abc"}), "args"),
        ({}, body({"task": "p.greet", "kwargs": ["a"]}), "kwargs"),
        ({}, body({"task": "p.greet", "eta": "soon"}), "eta"),
        ({}, body({"task": "p.greet", "countdown": -1}), "countdown"),
        ({}, body({"task": "p.greet", "queue": "ghost"}), "queue: is no field of a call"),
        ({}, body({"task": "p.greet", "callbacks": [{"task": "x"}]}), "callbacks: is not taken"),
        ({}, body({"task": "p.greet", "chord": {"task": "x"}}), "chord: is not taken"),
        ({}, body({"task": "p.greet", "timelimit": "abc"}), "timelimit"),
        ({}, body({"task": "celery.map", "args": [{"task": "x"}, []]}), "task: .* the bus's own"),
        ({}, body({"task": "callbacks.deliver", "args": ["i"]}), "task: .* the bus's own"),
        ({"task": "p.greet"}, b"x", "body: not JSON"),
        ({"task": "p.greet", "id": "i"}, body([1, 2]), r"body: must be \[args, kwargs, embed\]"),
        ({"task": "p.greet"}, body([{}, [], None]), r"body: must be \[args, kwargs, embed\]"),
        ({"task": ["p"], "id": "i"}, body([[], {}, EMBED]), "task: must name a task"),
        ({"task": "p.greet", "id": 7}, body([[], {}, EMBED]), "id: must be"),
        ({"task": "p.greet", "eta": "x"}, body([[], {}, EMBED]), "eta"),
        ({"task": "p.greet"}, body([[], {}, EMBED | {"chain": [{"task": "x"}]}]), "chain: is not"),
        ({"menos_accepted": "token"}, body([[], {}, EMBED]), "body: must be"),
    ],
)
def test_what_is_no_call_has_a_reason(headers, said, reason):
    with pytest.raises(Malformed, match=reason):
        read(headers, said)


def test_of_what_is_no_call_everything_that_can_be_read_is_kept():
    said = {"task": "p.greet", "id": "i1", "kwargs": {"callback_url": "https://x.org"}, "link": 1}

    with pytest.raises(Malformed) as caught:
        read({}, body(said))

    assert (caught.value.task, caught.value.task_id) == ("p.greet", "i1")
    assert caught.value.callback_url == "https://x.org"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=10,
)
WORDS = st.sampled_from(
    ["task", "id", "task_id", "args", "kwargs", "eta", "expires", "countdown", "callbacks", "chord",
     "timelimit", "retries", "menos_accepted", "utc", "compression"]
)  # fmt: skip
NEARLY = st.dictionaries(WORDS, JSON | st.just("p.greet") | st.just(True), max_size=8)


def what_became_of(headers, said):
    try:
        return read(headers, said)
    except Malformed as malformed:
        return malformed.reason


@given(headers=NEARLY | JSON, said=NEARLY | st.tuples(JSON, JSON, JSON) | JSON)
def test_whatever_arrives_is_a_call_or_has_a_reason(headers, said):
    assert what_became_of(headers, json.dumps(said))


@given(headers=NEARLY, said=st.binary(max_size=60))
def test_whatever_bytes_arrive_they_are_a_call_or_have_a_reason(headers, said):
    assert what_became_of(headers, said)
