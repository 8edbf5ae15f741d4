"""``menos-bus call``: how the words of a command line become arguments."""

import json

import pytest
from click.testing import CliRunner

from menos_bus import BusUnavailable, InvalidCall
from menos_bus.cli import call as command
from menos_bus.cli.main import main
from menos_bus.doors import client
from menos_bus.tasks.envelope import validate_call

SOURCE = '''
from typing import Annotated, Any, Literal, Optional
from menos_bus import hookimpl
from pydantic import BaseModel, Field

@hookimpl
def register_tasks(register):
    register(note)
    register(awkward)
    register(choose)
    register(go)
    register(draw)

def note(
    text: str,
    limit: int = 10,
    tags: list[str] = [],
    numbers: list[int] = [],
    options: Optional[dict[str, Any]] = None,
    colour: Literal["red", "1"] = "red",
    sure: bool = False,
    long_name: Optional[str] = None,
) -> None:
    """Write a note.

    With all that belongs to it.
    """

class Place(BaseModel):
    name: str
    metres: float = 0

def go(where: Place, then: list[Place] = [], maybe: Optional[Place] = None) -> None:
    """Go to places."""

class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float

class Square(BaseModel):
    kind: Literal["square"]
    side: float

def draw(shape: Annotated[Circle | Square, Field(discriminator="kind")]) -> None:
    """Draw a shape."""

def choose(kinds: Optional[str | list[str]] = None) -> None:
    """Choose one or more."""

def awkward(wait: str = "", json: str = "", values: str = "", no_wait: str = "") -> None:
    """Parameters with the names of the command's own options."""
'''


@pytest.fixture
def run(site, monkeypatch):
    """Run ``menos-bus call``; no bus is running."""
    site.install("p", SOURCE)
    monkeypatch.setenv("MENOS_PLUGINS", "p")

    def run(*arguments, stdin=None):
        return CliRunner().invoke(main, ["call", *arguments], input=stdin)

    return run


@pytest.fixture
def sent(run, monkeypatch):
    """What ``call`` would send, checked as it is before it is sent."""

    def sent(*arguments, stdin=None):
        calls = []

        def submit(bus, name, args, kwargs, seconds):
            calls.append(validate_call(bus.registry[name], args, kwargs))
            return "some-id"

        # The door: everything behind it needs a bus that runs.
        monkeypatch.setattr(client, "submit", submit)
        shown = run(*arguments, "--no-wait", stdin=stdin)
        assert (shown.exit_code, shown.stdout) == (0, "some-id\n"), shown.output
        return calls[0]

    return sent


def test_values_go_to_parameters_in_their_order(sent):
    assert sent("p.note", "hello", "5").kwargs == {"text": "hello", "limit": 5}


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["hello", "--sure"], {"sure": True}),
        (["--sure", "hello"], {"sure": True}),
        (["--sure", "--limit", "5", "hello"], {"sure": True, "limit": 5}),
        (["hello", "--sure", "true"], {"sure": True}),
        (["hello", "--sure", "false"], {"sure": False}),
        (["--sure=false", "hello"], {"sure": False}),
        (["hello", "--long-name", "--sure"], {"long_name": "--sure"}),
        (["--sure", "--", "hello"], {"sure": True}),
        (["--sure", "False", "hello"], {"sure": "False"}),
        (["hello", "--sure", "no"], {"sure": "no"}),
        (["--sure", "0", "hello"], {"sure": 0}),
    ],
)
def test_what_is_true_or_false_needs_no_value_to_be_true(sent, words, given):
    assert sent("p.note", *words).kwargs == {"text": "hello"} | given


def test_options_go_to_parameters_by_name(sent):
    call = sent("p.note", "--text", "hello", "--limit=5", "--long-name", "x")

    assert call.kwargs == {"text": "hello", "limit": 5, "long_name": "x"}


def test_text_stays_text_whatever_it_looks_like(sent):
    for text in ("5", "true", "null", "[1]", '{"a": 1}', "", " "):
        assert sent("p.note", text).kwargs == {"text": text}


def test_text_of_one_of_several_values_stays_text(sent):
    assert sent("p.note", "x", "--colour", "1").kwargs["colour"] == "1"


def test_numbers_flags_and_objects_are_written_as_json(sent):
    call = sent("p.note", "x", "--sure", "true", "--options", '{"a": [1, null]}')

    assert call.kwargs == {"text": "x", "sure": True, "options": {"a": [1, None]}}


def test_a_list_is_json_or_an_option_that_is_repeated(sent):
    assert sent("p.note", "x", "--tags", '["a", "b"]').kwargs["tags"] == ["a", "b"]
    assert sent("p.note", "x", "--tags", "a", "--tags", "b").kwargs["tags"] == ["a", "b"]
    assert sent("p.note", "x", "--tags", "a").kwargs["tags"] == ["a"]
    assert sent("p.note", "x", "1", "a").kwargs["tags"] == ["a"]
    assert sent("p.note", "x", "1", '["a", "b"]').kwargs["tags"] == ["a", "b"]


def test_what_may_be_one_or_a_list_of_them_is_a_list_if_it_is_written_as_one(sent):
    assert sent("p.choose", "--kinds", '["a", "b"]').kwargs["kinds"] == ["a", "b"]
    assert sent("p.choose", "--kinds", "a", "--kinds", "b").kwargs["kinds"] == ["a", "b"]
    assert sent("p.choose", "--kinds", "[a]").kwargs["kinds"] == "[a]"


def test_a_repeated_option_of_numbers_is_a_list_of_numbers(sent):
    numbers = sent("p.note", "x", "--numbers", "1", "--numbers", "2").kwargs["numbers"]

    assert [int(number) for number in numbers] == [1, 2]


def test_a_value_can_be_the_text_of_a_file(sent, tmp_path):
    path = tmp_path / "note.md"
    path.write_bytes("# Grüße\r\n".encode())

    assert sent("p.note", f"@{path}").kwargs == {"text": "# Grüße\r\n"}


def test_the_mark_that_some_editors_begin_a_file_with_is_not_its_text(sent, tmp_path):
    path = tmp_path / "note.md"
    path.write_bytes(b"\xef\xbb\xbf# Note")

    assert sent("p.note", f"@{path}").kwargs == {"text": "# Note"}


def test_a_value_can_be_the_text_of_standard_input(sent):
    assert sent("p.note", "@-", stdin="piped").kwargs == {"text": "piped"}


def test_json_can_be_in_a_file_too(sent, tmp_path):
    path = tmp_path / "options.json"
    path.write_text('{"a": 1}')

    assert sent("p.note", "x", "--options", f"@{path}").kwargs["options"] == {"a": 1}


def test_a_value_that_begins_with_an_at_sign_is_written_with_two(sent):
    assert sent("p.note", "@@ada").kwargs == {"text": "@ada"}
    assert sent("p.note", "x", "--tags", "@@a", "--tags", "b@c").kwargs["tags"] == ["@a", "b@c"]


def test_priority_and_a_key_are_passed_on(sent):
    call = sent("p.note", "x", "--priority", "--idempotency-key", "k")

    assert (call.priority, call.idempotency_key) == (True, "k")
    assert call.kwargs == {"text": "x"}


def test_the_id_is_printed_as_json_when_asked_for(sent, run):
    sent("p.note", "x")

    assert json.loads(run("p.note", "x", "--no-wait", "--json").stdout) == {"task_id": "some-id"}


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_parameter_may_have_the_name_of_an_option_of_the_command(sent):
    assert sent("p.awkward", "a", "b", "c", "d").kwargs == {
        "wait": "a",
        "json": "b",
        "values": "c",
        "no_wait": "d",
    }


# errors


def test_a_file_that_does_not_exist_is_named_with_the_parameter(run):
    shown = run("p.note", "@nowhere.md")

    assert shown.exit_code == 2
    assert "text: cannot read the file nowhere.md: No such file" in shown.stderr


def test_a_folder_is_not_a_text(run, tmp_path):
    shown = run("p.note", f"@{tmp_path}")

    assert shown.exit_code == 2
    assert "cannot read" in shown.stderr


def test_a_file_that_is_not_text_is_named_with_the_parameter(run, tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG\xff")

    shown = run("p.note", "x", "--tags", f"@{path}")

    assert shown.exit_code == 2
    assert f"tags: {path} is not UTF-8 text" in shown.stderr


def test_standard_input_that_is_not_text_is_named(run):
    shown = run("p.note", "@-", stdin=b"\xff\xfe")

    assert shown.exit_code == 2
    assert "text: - is not UTF-8 text" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "text: required"),
        (["x", "many"], "limit: input should be a valid integer"),
        (["x", "--colour", "green"], "colour: input should be 'red' or '1'"),
        (["x", "--options", "{"], "options: this is no JSON: Expecting property name"),
        (["x", "--options", "[1]"], "options: input should be an object"),
        (["x", "--text", "y"], "text: given in both"),
        (["x", *"123456789"], "args: takes at most 8 positional arguments, got 10"),
        (["x", "--idempotency-key", ""], "idempotency_key: "),
    ],
)
def test_a_wrong_argument_is_named_before_any_bus_is_looked_for(run, arguments, message):
    shown = run("p.note", *arguments)

    assert shown.exit_code == 2
    assert message in shown.stderr


def test_an_unknown_option_is_named(run):
    shown = run("p.note", "x", "--limt", "5")

    assert shown.exit_code == 2
    assert "--limt" in shown.stderr


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_without_a_running_bus_it_says_how_to_start_one(run, more):
    shown = run("p.note", "x", *more)

    assert shown.exit_code == 2
    assert "menos-bus up" in shown.stderr
    assert "MENOS_HOME" in shown.stderr
    if more:
        assert json.loads(shown.stdout)["error"]["code"] == "unavailable"


def test_the_data_folder_is_not_made_by_asking(run, monkeypatch, tmp_path):
    monkeypatch.setenv("MENOS_HOME", str(tmp_path / "home"))

    run("p.note", "x")

    assert not (tmp_path / "home").exists()


def test_without_a_task_it_shows_its_help_and_fails(run):
    shown = run()

    assert shown.exit_code == 2
    assert "TASK" in shown.output


def test_help_of_the_command_is_no_error(run):
    assert run("--help").exit_code == 0


def test_help_of_a_task_shows_its_parameters(run):
    shown = run("p.note", "--help")

    assert shown.exit_code == 0
    for text in ("Write a note.", "--long-name", "[required]", "[default: 10]", "--no-wait"):
        assert text in shown.output


def test_help_shows_the_fields_of_an_object(run):
    shown = run("p.go", "--help").output

    assert "--where {name: string, metres?: number}" in shown
    assert "--then list of {name: string, metres?: number}" in shown
    assert shown.count("[repeatable]") == 1
    assert "--maybe {name: string, metres?: number}" in shown
    shown = " ".join(run("p.draw", "--help").output.split())
    assert "--shape {kind: circle, radius: number}|{kind: square, side: number}" in shown


# the end


@pytest.mark.parametrize(
    ("state", "more", "code"),
    [
        ("SUCCESS", {"result": {"a": "ä"}}, 0),
        ("FAILURE", {"error": {"code": "gone", "message": "no such video", "tries": 1}}, 1),
        ("STARTED", {}, 1),
    ],
)
def test_the_exit_code_tells_how_a_call_ended(capsys, state, more, code):
    from menos_bus.outcomes.outcome import Outcome

    outcome = Outcome("some-id", state, **more)

    for as_json in (True, False):
        if code:
            with pytest.raises(SystemExit) as left:
                command._finish(outcome, as_json=as_json)
            assert left.value.code == code
        else:
            command._finish(outcome, as_json=as_json)

        out, err = capsys.readouterr()
        if as_json:
            assert json.loads(out) == outcome.as_json()
        elif state == "SUCCESS":
            assert json.loads(out) == {"a": "ä"}
            assert "ä" in out
        elif state == "FAILURE":
            assert "no such video (gone, after 1 try)" in err
        else:
            assert "menos-bus result some-id" in err


def test_a_door_that_does_not_answer_is_an_unavailable_bus():
    from menos_bus.doors.running import Address

    with pytest.raises(BusUnavailable, match="does not answer"):
        client.request(Address("http://127.0.0.1:1", "u", "p"), "GET", "/api/health")


def test_a_call_is_checked_before_it_leaves(make_bus, make_plugin):
    def greet(who: str): ...

    with pytest.raises(InvalidCall, match="who"):
        client.submit(make_bus(make_plugin("p", greet)), "p.greet", [5], {})
