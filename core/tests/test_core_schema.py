"""Type hints become validation and JSON Schema."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationInfo
from pydantic_core import PydanticCustomError

from menos_bus import InvalidCall, Permanent, PluginError, Wanted
from menos_bus.tasks.schema import MAX_STRING, Signature


class Point(BaseModel):
    x: int
    label: str = "here"


class ClosedPoint(Point):
    model_config = ConfigDict(extra="forbid")


def problems(function, arguments):
    with pytest.raises(InvalidCall) as caught:
        Signature(function).validate(arguments)
    return {problem.field: problem.reason for problem in caught.value.problems}


def greet(who: str, times: int = 1) -> str:
    return f"hello {who} " * times


def test_arguments_come_out_by_name_with_the_defaults():
    values = Signature(greet).validate({"who": "Ada"})

    assert values == {"who": "Ada", "times": 1}


def test_a_number_written_as_text_is_taken_as_a_number():
    values = Signature(greet).validate({"who": "Ada", "times": "5"})

    assert values["times"] == 5


def test_a_missing_argument_is_named_as_required():
    assert problems(greet, {}) == {"who": "required"}


def test_an_unknown_argument_is_named_with_those_that_exist():
    assert problems(greet, {"who": "Ada", "hwo": 1}) == {"hwo": "unknown field (known: who, times)"}
    assert problems(greet, {"who": "Ada", "time": 1}) == {
        "time": "unknown field; did you mean 'times'? (known: who, times)"
    }


def test_what_is_said_of_the_delivery_is_no_argument():
    assert problems(greet, {"who": "Ada", "task_id": "a1"}) == {
        "task_id": "is no argument: it stands beside args and kwargs, at the HTTP API in the query"
    }


Colour = Annotated[str, Field(pattern="^#[0-9a-f]{6}$", max_length=7), Wanted("one like #ff0000")]


def test_what_is_wanted_is_said_in_words_and_the_schema_stays_exact():
    def paint(colour: Colour, others: Colour | list[Colour] | None = None): ...
    def mix(shares: dict[str, Colour]): ...

    for wrong in ("red", "#ff00000", 5):
        assert problems(paint, {"colour": wrong}) == {"colour": "must be one like #ff0000"}
    assert problems(paint, {"colour": "#ff0000", "others": ["#000000", "red"]}) == {
        "others": "must be one like #ff0000",
        "others.1": "must be one like #ff0000",
    }
    assert problems(mix, {"shares": {"custom-red": "red"}}) == {
        "shares.custom-red": "must be one like #ff0000"
    }
    assert Signature(paint).parameters_schema["properties"]["colour"] == {
        "type": "string",
        "pattern": "^#[0-9a-f]{6}$",
        "maxLength": 7,
        "title": "Colour",
    }


def test_a_pattern_without_words_is_told_with_an_example_if_there_is_one():
    Code = Annotated[str, Field(pattern="^[A-Z]{3}$")]

    def pay(
        currency: Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["EUR", "GBP"])],
        account: Annotated[str, Field(pattern="^[0-9]+$")] = "0",
    ): ...

    assert problems(pay, {"currency": "euro", "account": "mine"}) == {
        "currency": "must match the pattern ^[A-Z]{3}$ (for example EUR)",
        "account": "must match the pattern ^[0-9]+$",
    }

    def convert(to: Annotated[Code | None, Field(examples=["USD"])]): ...

    assert problems(convert, {"to": "dollars"}) == {
        "to": "must match the pattern ^[A-Z]{3}$ (for example USD)"
    }


def test_an_unknown_field_inside_of_an_argument_is_not_told_the_names_of_arguments():
    def move(point: ClosedPoint): ...

    assert problems(move, {"point": {"x": 1, "points": 1}}) == {"point.points": "unknown field"}


def test_an_argument_of_a_wrong_type_is_named():
    found = problems(greet, {"who": "Ada", "times": "many"})

    assert found.keys() == {"times"}
    assert "integer" in found["times"]


def test_a_number_is_not_taken_for_text():
    assert "string" in problems(greet, {"who": 5})["who"]


def test_every_problem_of_a_call_is_told_at_once():
    assert problems(greet, {"times": "many", "more": 1}).keys() == {"who", "times", "more"}


def test_a_string_may_have_just_as_many_characters_as_the_default_bound():
    longest = "x" * MAX_STRING

    assert Signature(greet).validate({"who": longest})["who"] == longest
    assert "100000" in problems(greet, {"who": longest + "x"})["who"]


def test_strings_inside_lists_and_dicts_are_bounded_too():
    def tag(tags: list[str], notes: dict[str, str]): ...

    found = problems(tag, {"tags": ["x" * (MAX_STRING + 1)], "notes": {"a": "x" * 100_001}})

    assert found.keys() == {"tags.0", "notes.a"}


def test_an_annotation_may_set_a_shorter_or_longer_bound():
    def note(
        short: Annotated[str, Field(max_length=3)],
        long: Annotated[str, Field(max_length=200_000)],
    ): ...

    assert Signature(note).validate({"short": "abc", "long": "x" * 150_000})["short"] == "abc"
    assert "3" in problems(note, {"short": "abcd", "long": ""})["short"]
    assert problems(note, {"short": "a", "long": "x" * 200_001}).keys() == {"long"}


def test_an_element_of_a_list_is_named_by_its_place():
    def add(numbers: list[int]): ...

    assert problems(add, {"numbers": [1, "two"]}).keys() == {"numbers.1"}
    assert problems(add, {"numbers": "12"}).keys() == {"numbers"}


def test_a_place_in_a_json_value_is_the_one_that_was_given():
    def note(metadata: dict[str, JsonValue]): ...

    half = "\ud800"  # of a surrogate pair, which is no character
    wrong = {"a": [1, half], "dict": {"list": [half]}, "b": {"dict": {"x": 1}, "x": half}}

    assert problems(note, {"metadata": wrong}).keys() == {
        "metadata.a.1",
        "metadata.dict.list.0",
        "metadata.b.x",
    }


def test_a_place_deep_in_a_json_value_is_found_however_many_are_wrong():
    def note(value: JsonValue): ...

    value: JsonValue = {f"a{number}": "\ud800" for number in range(5_000)}
    for _ in range(200):
        value = {"dict": value}

    found = problems(note, {"value": value})

    assert len(found) == 5_000
    assert f"value.{'dict.' * 200}a0" in found


def test_a_value_that_is_wrong_itself_is_told_from_one_below_a_key_like_its_type():
    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")
        needed: int

    def either(value: Closed | dict[str, int]): ...

    found = problems(either, {"value": {"Closed": "no number"}})

    assert {"value.needed", "value.Closed"} <= found.keys()


def test_the_types_of_a_union_are_no_part_of_a_place():
    def draw(point: Point | ClosedPoint | None = None, width: int | list[int] = 1): ...

    assert problems(draw, {"point": {"label": "a"}, "width": ["b"]}).keys() == {
        "point.x",
        "width",
        "width.0",
    }


def test_a_key_that_is_wrong_is_told_from_its_value():
    def note(notes: dict[Annotated[str, Field(max_length=3)], Annotated[str, Field(max_length=5)]]):
        """Take notes."""

    assert problems(note, {"notes": {"abcd": "ab", "abc": "abcdef"}}).keys() == {
        "notes.abcd.[key]",
        "notes.abc",
    }


def test_an_optional_parameter_takes_null_and_its_type_and_nothing_else():
    def greet_maybe(who: Optional[str] = None): ...  # noqa: UP045 - both spellings are in use

    signature = Signature(greet_maybe)

    assert signature.validate({}) == {"who": None}
    assert signature.validate({"who": None}) == {"who": None}
    assert signature.validate({"who": "Ada"}) == {"who": "Ada"}
    assert problems(greet_maybe, {"who": []})


def test_a_literal_names_what_it_may_be():
    def paint(colour: Literal["red", "blue"]): ...

    assert Signature(paint).validate({"colour": "red"}) == {"colour": "red"}
    assert "'red' or 'blue'" in problems(paint, {"colour": "green"})["colour"]


def test_a_pydantic_model_arrives_as_that_model():
    def draw(point: Point): ...

    assert Signature(draw).validate({"point": {"x": 1}}) == {"point": Point(x=1)}
    assert problems(draw, {"point": {}}) == {"point.x": "required"}


def test_a_moment_arrives_as_a_datetime():
    def wake(at: datetime): ...

    values = Signature(wake).validate({"at": "2026-01-02T03:04:05Z"})

    assert values == {"at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}
    assert problems(wake, {"at": "tomorrow"}).keys() == {"at"}


def test_a_parameter_without_a_hint_takes_anything():
    def echo(value): ...

    assert Signature(echo).validate({"value": {"a": [1]}}) == {"value": {"a": [1]}}


def test_parameters_may_have_names_that_pydantic_uses_itself():
    def clash(json: str, copy: int, schema: str, model_dump: str, model_config: str = "c"): ...

    given = {"json": "a", "copy": "2", "schema": "b", "model_dump": "d"}

    assert Signature(clash).validate(given) == {**given, "copy": 2, "model_config": "c"}


def test_a_check_of_a_parameter_sees_those_before_it_by_name():
    def above(most: int, info: ValidationInfo) -> int:
        if most < info.data.get("least", 0):
            raise PydanticCustomError("less", "must be least or more")
        return most

    def draw(least: int = 1, most: Annotated[int, AfterValidator(above)] = 9): ...

    assert Signature(draw).validate({"most": 3, "least": "3"}) == {"least": 3, "most": 3}
    assert problems(draw, {"most": 2, "least": "3"}) == {"most": "must be least or more"}
    assert problems(draw, {"most": 2, "least": "x"}).keys() == {"least"}


def test_strings_in_a_json_value_are_bounded_too():
    def note(value: JsonValue): ...

    assert problems(note, {"value": {"a": ["x" * (MAX_STRING + 1)]}}).keys() == {"value.a.0"}


def test_each_call_gets_a_default_of_its_own():
    def tag(tags: list[str] = []): ...  # noqa: B006 - that is the point

    Signature(tag).validate({})["tags"].append("mine")

    assert Signature(tag).validate({}) == {"tags": []}


def test_the_schema_says_names_types_defaults_bounds_and_descriptions():
    def note(
        title: Annotated[str, Field(max_length=80, description="What it is called.")],
        text: str,
        tags: list[str] = [],  # noqa: B006 - pydantic copies it
    ): ...

    schema = Signature(note).parameters_schema

    assert schema["type"] == "object"
    assert schema["required"] == ["title", "text"]
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == ["title", "text", "tags"]
    assert schema["properties"]["title"]["maxLength"] == 80
    assert schema["properties"]["title"]["description"] == "What it is called."
    assert schema["properties"]["text"]["maxLength"] == MAX_STRING
    assert schema["properties"]["tags"]["default"] == []
    assert schema["properties"]["tags"]["items"]["type"] == "string"


def test_the_task_object_of_a_bound_function_is_no_parameter():
    def bound(self, who: str): ...

    assert Signature(bound, bound=True).names == ["who"]


def test_positional_arguments_get_their_names():
    assert Signature(greet).bind(["Ada"], {"times": 2}) == {"who": "Ada", "times": 2}


def test_an_argument_given_twice_is_named():
    with pytest.raises(InvalidCall, match="who: given in both args and kwargs"):
        Signature(greet).bind(["Ada"], {"who": "Eve"})


def test_too_many_positional_arguments_are_counted():
    with pytest.raises(InvalidCall, match="args: takes at most 2 positional arguments, got 3"):
        Signature(greet).bind(["Ada", 1, 2], {})


def variadic(*args): ...
def keywords(**kwargs): ...
def positional(value, /): ...
def callback(callback_url: str): ...
def key(idempotency_key: str): ...
def plain_object(value: "Unserialisable"): ...
def optional_object(value: "Unserialisable" = None): ...
def function(value: Callable[[int], int]): ...


class Unserialisable:
    """A class that pydantic cannot make from JSON."""


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (variadic, r"variadic\(args\).*cannot be checked"),
        (keywords, r"keywords\(kwargs\).*cannot be checked"),
        (positional, r"positional\(value\).*by name"),
        (callback, r"callback\(callback_url\).*reserved"),
        (key, r"key\(idempotency_key\).*reserved"),
        (
            plain_object,
            r"plain_object: its parameter '\w+' \(Unserialisable\) cannot .* JSON: take",
        ),
        (optional_object, r"its parameter 'value' \(Unserialisable\) cannot"),
        (function, "JSON"),
    ],
)
def test_what_a_message_cannot_carry_is_refused_with_the_reason(refused, reason):
    with pytest.raises(PluginError, match=reason):
        Signature(refused)


def test_a_hint_that_cannot_be_resolved_is_refused():
    def lost(value: "Nowhere"): ...  # noqa: F821 - that is the point

    with pytest.raises(PluginError, match="Nowhere"):
        Signature(lost)


def test_a_return_type_that_is_not_json_is_refused_before_any_work_is_done():
    def make() -> Unserialisable: ...

    with pytest.raises(PluginError, match=r"its result \(Unserialisable\) cannot"):
        Signature(make)


def test_a_returned_model_becomes_plain_json():
    def draw() -> Point: ...

    assert Signature(draw).dump(Point(x=1)) == {"x": 1, "label": "here"}


def test_returned_models_moments_and_sets_without_a_hint_become_plain_json():
    def anything(): ...

    moment = datetime(2026, 1, 2, tzinfo=UTC)
    dumped = Signature(anything).dump({"p": Point(x=1), "at": moment, "set": {1}})

    assert dumped == {"p": {"x": 1, "label": "here"}, "at": "2026-01-02T00:00:00Z", "set": [1]}


def test_a_returned_moment_with_a_hint_becomes_text():
    def when() -> datetime: ...

    assert Signature(when).dump(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00Z"


def circle():
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "make", [object, lambda: b"\xff", circle], ids=["object", "bytes", "circle"]
)
def test_a_result_that_is_not_json_is_a_permanent_failure(make):
    def anything(): ...

    with pytest.raises(Permanent) as caught:
        Signature(anything).dump(make())

    assert caught.value.code == "result_not_json"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_no_arguments_whatever_break_the_check(arguments):
    signature = Signature(greet)

    try:
        values = signature.validate(arguments)
    except InvalidCall as error:
        problems = error.problems
    else:
        problems = None

    assert problems or (isinstance(values["who"], str) and isinstance(values["times"], int))
