"""From a function's type hints to validation and JSON Schema: one source for every door."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Annotated, Any, Final, NamedTuple, cast, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import (
    ErrorDetails,
    PydanticSerializationError,
    SchemaValidator,
    core_schema,
    to_jsonable_python,
)
from typing_extensions import TypedDict

from menos_bus.alike import did_you_mean
from menos_bus.errors import FieldProblem, InvalidCall, Permanent, PluginError
from menos_bus.tasks.contract import DELIVERY

RESERVED_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "callback_url": {
        "type": "string",
        "format": "uri",
        "minLength": 1,
        "maxLength": 2048,
        "description": "Where the outcome is POSTed, whether it succeeds or fails.",
    },
    "idempotency_key": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "description": "The same key and task give the same task id and one execution; with other "
        "arguments the call is refused.",
    },
    "priority": {
        "type": "boolean",
        "description": "Goes ahead in the queue, and may use the reserved share of a quota.",
    },
}
"""The JSON Schemas of the reserved arguments."""

RESERVED: Final = frozenset(RESERVED_SCHEMAS) - {"priority"}
"""Keyword arguments that every task takes and that the core keeps for itself.

The third reserved one, ``priority``, may be declared by a function, which then gets its value.
"""

MAX_STRING: Final = 100_000
"""Characters that a string parameter may have unless its annotation sets ``max_length``."""


_WAYS: Final = 50
"""How many ways are tried: a caller could think up a place that has millions."""


class _BoundedSchema(GenerateJsonSchema):
    """JSON Schema that shows the default bound of strings, which pydantic keeps in the config."""

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        schema.setdefault("max_length", MAX_STRING)
        return super().str_schema(schema)


class _Checks(NamedTuple):
    """What a function's type hints say."""

    names: list[str]
    arguments: SchemaValidator
    schema: dict[str, Any]
    result: TypeAdapter[Any] | None
    """None if the function does not say what it returns."""


@cache
def _checks_of(function: Callable[..., Any], bound: bool) -> _Checks:
    """Read a function once, since a test of a plugin makes a bus, and pydantic takes its time.

    Raises:
        PluginError: the function has something that a message cannot carry.
    """
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise PluginError(f"the type hints of {function.__qualname__} fail: {error}") from error
    fields: dict[str, Any] = {}
    for parameter in list(inspect.signature(function).parameters.values())[1 if bound else 0 :]:
        _refuse_unsendable(function, parameter)
        hint = hints.get(parameter.name, Any)
        if parameter.default is not parameter.empty:
            hint = Annotated[hint, Field(default=parameter.default)]
        fields[parameter.name] = hint
    config = ConfigDict(
        extra="forbid",
        str_max_length=MAX_STRING,
        arbitrary_types_allowed=False,
    )
    try:
        # A typed dict and no model: a parameter may have a name that models use themselves.
        typed = cast(Any, TypedDict)(function.__name__, fields)
        typed.__pydantic_config__ = config
        arguments = TypeAdapter(typed)
        # The validator is told the bound, too: types that refer to themselves, such as JsonValue,
        # have no other configuration.
        validator = SchemaValidator(
            arguments.core_schema, core_schema.CoreConfig(str_max_length=MAX_STRING)
        )
        schema = arguments.json_schema(schema_generator=_BoundedSchema)
        returns = hints.get("return", Any)
        result = None if returns is Any else TypeAdapter(returns)
        if result is not None:
            result.json_schema(mode="serialization")
    except (PydanticUserError, TypeError) as error:
        # Not `fields`: their hints say the defaults, too.
        what = _unsendable({name: hints.get(name, Any) for name in [*fields, "return"]})
        why = "take a type of JSON or a pydantic model" if what else error
        raise PluginError(
            f"{function.__qualname__}: {what or 'a type'} cannot travel as JSON: {why}"
        ) from error
    return _Checks(list(fields), validator, schema, result)


def _unsendable(hints: Mapping[str, Any]) -> str | None:
    """The first of these types that pydantic by itself cannot read or describe."""
    for name, hint in hints.items():
        try:
            TypeAdapter(hint).json_schema(
                mode="serialization" if name == "return" else "validation"
            )
        except (PydanticUserError, TypeError):
            told = "its result" if name == "return" else f"its parameter {name!r}"
            return f"{told} ({getattr(hint, '__name__', hint)})"
    return None


class Signature:
    """The typed parameters and the return type of one task function.

    Args:
        function: the task's function; its parameters need no hints, but get no checks without.
        bound: whether the first parameter is the Celery task itself (``bind=True``).
        positional: the names that positional arguments stand for, in order; by default all
            parameters. A reserved argument among them must be given.

    Raises:
        PluginError: the signature has something that a message cannot carry.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        bound: bool = False,
        positional: Sequence[str] | None = None,
    ) -> None:
        self._checks = _checks_of(function, bound)
        self.names = self._checks.names
        self.positional = self.names if positional is None else list(positional)
        if unknown := set(self.positional) - {*self.names, *RESERVED}:
            raise PluginError(f"positional: {function.__qualname__} has no {sorted(unknown)}")
        self.required_reserved = [name for name in self.positional if name in RESERVED]
        """Reserved arguments that a call must have."""
        self.extensions: Callable[[str], Mapping[str, Any]] = lambda point: {}
        """What plugins have registered at a point; a validator finds it in its context."""
        self.parameters_schema = deepcopy(self._checks.schema)
        """The JSON Schema (2020-12) of the keyword arguments."""
        for name in self.required_reserved:
            self.parameters_schema["properties"][name] = RESERVED_SCHEMAS[name]
            self.parameters_schema.setdefault("required", []).append(name)

    @property
    def takes_priority(self) -> bool:
        """Whether the function declares the reserved ``priority`` itself."""
        return "priority" in self.names

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Give each positional argument its name.

        Returns:
            The arguments by name, as they came.

        Raises:
            InvalidCall: too many arguments, or one that is given twice.
        """
        if len(args) > len(self.positional):
            takes = f"takes at most {len(self.positional)} positional arguments, got {len(args)}"
            raise InvalidCall([FieldProblem("args", takes)])
        bound = dict(zip(self.positional, args, strict=False))
        if twice := bound.keys() & kwargs.keys():
            raise InvalidCall(
                [FieldProblem(name, "given in both args and kwargs") for name in sorted(twice)]
            )
        return bound | dict(kwargs)

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Check arguments by name and convert them to what the hints say.

        Returns:
            Every parameter with its Python value, defaults included.

        Raises:
            InvalidCall: names every field that is missing, unknown, too long or of a wrong type.
        """
        given = dict(arguments)
        try:
            context = {"extensions": self.extensions}
            valid: dict[str, Any] = self._checks.arguments.validate_python(given, context=context)
            return valid
        except ValidationError as error:
            examples = dict(_examples(self.parameters_schema))
            raise InvalidCall(
                problems_of(error, given, parameters=self.names, examples=examples)
            ) from None

    def dump(self, result: Any) -> Any:
        """Turn a return value into plain JSON types.

        Raises:
            Permanent: the value cannot be written as JSON (code ``result_not_json``).
        """
        try:
            if self._checks.result is None:
                return jsonable(result)
            return jsonable(self._checks.result.dump_python(result, mode="json", warnings="none"))
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise Permanent(
                f"the task returned something that is not JSON: {error}", code="result_not_json"
            ) from error


def jsonable(value: Any) -> Any:
    """A value in JSON types.

    Raises:
        PydanticSerializationError, ValueError, RecursionError: it has none; NaN, infinity and half
            a surrogate pair are no JSON, though Python would write them.
    """
    plain = to_jsonable_python(value)
    json.dumps(plain, allow_nan=False, ensure_ascii=False).encode()
    return plain


def problems_of(
    error: ValidationError,
    given: Any,
    *,
    prefix: str = "",
    parameters: Sequence[str] | None = None,
    examples: Mapping[str, Any] = {},
) -> list[FieldProblem]:
    """Say in words what pydantic found: one :class:`FieldProblem` per error.

    Args:
        error: what validation raised.
        given: what was validated.
        prefix: the path of the thing that was validated.
        parameters: the fields that exist, named in the message about one that does not.
        examples: pattern → a text that matches it, for the message about one that does not.
    """
    problems = []
    for item in error.errors(include_url=False):
        path = ".".join(map(str, _place(item, given)))
        field = ".".join(filter(None, (prefix, path))) or "body"
        reason = item["msg"]
        if item["type"] == "extra_forbidden":
            reason = "unknown field"
            if parameters is not None and field in DELIVERY:
                where = "beside args and kwargs, at the HTTP API in the query"
                reason = f"is no argument: it stands {where}"
            elif parameters is not None and len(item["loc"]) == 1:
                meant = did_you_mean(field, parameters)
                reason = f"unknown field{meant} (known: {', '.join(parameters) or 'none'})"
        elif item["type"] == "missing":
            reason = "required"
        elif item["type"] in ("dict_type", "model_type"):
            reason = "input should be an object"
        elif item["type"] == "string_pattern_mismatch":
            pattern = item["ctx"]["pattern"]
            reason = f"must match the pattern {pattern}"
            if pattern in examples:
                reason += f" (for example {examples[pattern]})"
        problems.append(FieldProblem(field, reason[:1].lower() + reason[1:]))
    return problems


def _place(item: ErrorDetails, given: Any) -> list[int | str]:
    """Where an error is in what was given: pydantic's place, without its names of a union's types.

    A key may be called like a type. So each part of the place is tried as a key, and if the way
    does not end at the very value that pydantic complains of, as a type. If no way does, or there
    are too many to try them all, the first one counts.
    """
    loc = list(item["loc"])
    wrong = item["input"]
    # A field that is missing is in nothing that was given, nor is a key, with the mark of one.
    is_key = loc[-1:] == ["[key]"]
    end = len(loc) - (2 if is_key else item["type"] == "missing")
    keys: list[int] = []  # where in the place
    values = [given]
    found: list[int | str] | None = None
    at = 0
    for _ in range(_WAYS):
        for number in range(at, end):
            if _leads_into(values[-1], loc[number]):
                keys.append(number)
                values.append(values[-1][loc[number]])
        ends = _leads_into(values[-1], wrong) if is_key else values[-1] is wrong
        if found is None or ends:
            found = [loc[number] for number in keys]
        if ends or not keys:
            break
        at = keys.pop() + 1
        values.pop()
    return [*(found or ()), *loc[end:]]


def _leads_into(value: Any, part: int | str) -> bool:
    if isinstance(value, Mapping):
        return part in value
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and isinstance(part, int) and part < len(value)


def _examples(schema: Any, given: Sequence[Any] = ()) -> Iterator[tuple[str, Any]]:
    """The patterns in a JSON Schema for which there is an example, each with one."""
    if isinstance(schema, list):
        for part in schema:
            yield from _examples(part, given)
    elif isinstance(schema, dict):
        given = schema.get("examples", given)
        if given and isinstance(pattern := schema.get("pattern"), str):
            yield pattern, given[0]
        for name, part in schema.items():
            yield from _examples(part, given if name == "anyOf" else ())


def _refuse_unsendable(function: Callable[..., Any], parameter: inspect.Parameter) -> None:
    where = f"{function.__qualname__}({parameter.name})"
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise PluginError(
            f"{where}: *args and **kwargs cannot be checked; declare a list or a dict parameter"
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise PluginError(f"{where}: positional-only; messages carry arguments by name")
    if parameter.name in RESERVED:
        raise PluginError(f"{where}: reserved for the bus; rename the parameter")
