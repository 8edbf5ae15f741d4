"""The envelope: what a caller may say, whichever door the call comes through.

The words are the same at every door: ``args``, ``kwargs`` and, for the delivery, ``task_id``,
``countdown``, ``eta``, ``expires``. Anything else is refused, because an option such as ``queue``
or ``link`` would send the call where nobody reads it, or run what nobody checked.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError, PydanticSerializationError, from_json

from menos_bus.errors import FieldProblem, InvalidCall
from menos_bus.tasks.contract import computed_id
from menos_bus.tasks.register import TaskSpec
from menos_bus.tasks.schema import RESERVED, jsonable, problems_of
from menos_bus.wanted import Wanted

DAY: Final = 24 * 3600.0
WEEK: Final = 7 * DAY

ID: Final = Wanted("a text of up to 128 letters, digits and _ . : -, as in a UUID")
TaskId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"), ID]


def _not_a_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("seconds", "must be a number of seconds")
    return value


def _not_a_number(value: Any) -> Any:
    # pydantic would take it for seconds since 1970, which no caller means.
    if isinstance(value, (int, float)):
        raise PydanticCustomError("moment", "must be a time like 2026-01-31T12:00:00Z")
    return value


Moment = Annotated[datetime, BeforeValidator(_not_a_number)]
Seconds = Annotated[float, BeforeValidator(_not_a_bool), Field(ge=0, le=WEEK, allow_inf_nan=False)]


class Envelope(BaseModel):
    """A call as it arrives at a door, before the task's own parameters are looked at."""

    model_config = ConfigDict(extra="forbid")

    args: list[Any] = Field([], description="Positional arguments of the task.")
    kwargs: dict[str, Any] = Field(
        {},
        description="Keyword arguments of the task; besides, `callback_url`, `priority` and "
        "`idempotency_key`.",
    )
    task_id: TaskId | None = Field(None, description="The id to give the call; else a new one.")
    countdown: Seconds | None = Field(None, description="Seconds to wait before the task runs.")
    eta: Moment | None = Field(None, description="When to run the task; instead of `countdown`.")
    expires: Seconds | Moment | None = Field(
        None, description="Seconds, or the time, after which the task is not run any more."
    )

    @classmethod
    def parse(cls, body: bytes | str) -> Envelope:
        """Read a JSON body.

        Raises:
            InvalidCall: not JSON, not an object, or a field that is wrong or not for callers.
        """
        return cls.of(read_object(body))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Envelope:
        """Check fields that were read already.

        Raises:
            InvalidCall: a field is wrong, or not for callers.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            known = ", ".join(cls.model_fields)
            problems = problems_of(error, fields)
            for n, (field, reason) in enumerate(problems):
                if field in fields.keys() - cls.model_fields.keys():
                    # Likely a parameter of the task: none of these names is meant.
                    said = f"{reason} (known: {known}){hint_at_kwargs(field, fields)}"
                    problems[n] = FieldProblem(field, said)
            raise InvalidCall(problems) from None

    @property
    def options(self) -> dict[str, Any]:
        """The delivery options that were set, as ``Task.apply_async`` takes them.

        Raises:
            InvalidCall: both ``countdown`` and ``eta`` are set, or ``eta`` is too far away.
        """
        if self.countdown is not None and self.eta is not None:
            raise InvalidCall([FieldProblem("eta", "cannot be combined with countdown")])
        if self.eta is not None:
            _check_near("eta", self.eta)
        if isinstance(self.expires, datetime):
            _check_near("expires", self.expires)
        options = self.model_dump(include={"task_id", "countdown", "eta", "expires"})
        return {
            # Celery takes a naive time for local time; at a door a time without a zone is UTC.
            name: _aware(value) if isinstance(value, datetime) else value
            for name, value in options.items()
            if value is not None
        }


def read_object(body: bytes | str) -> dict[str, Any]:
    """The JSON object that a body is; an empty body is an empty one.

    Raises:
        InvalidCall: not JSON, or not an object.
    """
    try:
        fields = from_json(body or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise InvalidCall([FieldProblem("body", f"invalid JSON: {error}")]) from None
    if not isinstance(fields, dict):
        raise InvalidCall([FieldProblem("body", "must be a JSON object")])
    return fields


def hint_at_kwargs(unknown: str, fields: Mapping[str, Any]) -> str:
    """What may be meant by an unknown field, where a task's parameters are given as such."""
    if fields.keys() & {"args", "kwargs"}:
        return ""
    return f'; did you mean {{"kwargs": {{{json.dumps(unknown)}: ...}}}}?'


@dataclass(frozen=True)
class Call:
    """A validated call: the arguments for the function, the reserved ones apart."""

    task: str
    kwargs: dict[str, Any]
    priority: bool = False
    idempotency_key: str | None = None
    callback_url: str | None = None

    @property
    def task_id(self) -> str | None:
        """The id that the idempotency key stands for: one key and task, one id."""
        if self.idempotency_key is None:
            return None
        return computed_id(self.task, self.idempotency_key)


def validate_call(task: TaskSpec, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """Check a call against the task's parameters and take the reserved arguments out.

    Returns:
        The call with its arguments by name, in JSON types, as the message will carry them.

    Raises:
        InvalidCall: names each field and what is wrong with it.
    """
    reserved, arguments = split_reserved(task.signature.bind(args, kwargs))
    if missing := [name for name in task.signature.required_reserved if name not in reserved]:
        raise InvalidCall([FieldProblem(name, "required") for name in missing])
    if task.signature.takes_priority and "priority" in reserved:
        arguments["priority"] = reserved["priority"]
    task.signature.validate(arguments)
    return _call(task.name, arguments, reserved)


def foreign_call(task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """A call of a task that another host has: only the reserved arguments can be checked here.

    Raises:
        InvalidCall: a reserved argument is wrong, or ``args`` are used (names are not known here).
    """
    if args:
        raise InvalidCall(
            [FieldProblem("args", f"{task} is not installed here: give its arguments by name")]
        )
    reserved, arguments = split_reserved(kwargs)
    return _call(task, arguments, reserved)


def _call(task: str, arguments: dict[str, Any], reserved: dict[str, Any]) -> Call:
    return Call(
        task,
        _plain(arguments),
        reserved.get("priority", False),
        reserved.get("idempotency_key"),
        reserved.get("callback_url"),
    )


def split_reserved(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part the reserved keyword arguments from the task's own.

    Returns:
        The reserved ones, checked, and the others, untouched.

    Raises:
        InvalidCall: a reserved argument has a wrong value.
    """
    reserved = {}
    arguments = dict(kwargs)
    for name, adapter in _RESERVED_TYPES.items():
        if name not in arguments:
            continue
        value = arguments.pop(name)
        if value is None:
            continue
        try:
            reserved[name] = adapter.validate_python(value)
        except ValidationError as error:
            raise InvalidCall(problems_of(error, value, prefix=name)) from None
    return reserved, arguments


def digest_of(
    task: str, args: Sequence[Any], kwargs: Mapping[str, Any], callback_url: str | None = None
) -> str:
    """A hash that is the same for two calls of the same task with the same arguments."""
    told = [task, list(args), dict(kwargs), *filter(None, [callback_url])]
    canonical = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments in JSON types, one by one, so that the wrong one can be named."""
    plain = {}
    for name, value in arguments.items():
        try:
            plain[name] = jsonable(value)
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            reason = f"cannot be written as JSON: {error}"
            raise InvalidCall([FieldProblem(name, reason)]) from None
    return plain


def _check_near(field: str, moment: datetime) -> None:
    try:
        seconds = (_aware(moment) - datetime.now(UTC)).total_seconds()
    except OverflowError:
        seconds = math.inf
    if not -DAY <= seconds <= WEEK:
        reason = "must be within a week from now, and at most a day ago"
        raise InvalidCall([FieldProblem(field, reason)])


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_RESERVED_TYPES: Final[dict[str, TypeAdapter[Any]]] = {
    "callback_url": TypeAdapter(Annotated[str, Field(min_length=1, max_length=2048)]),
    "idempotency_key": TypeAdapter(Annotated[str, Field(min_length=1, max_length=255)]),
    "priority": TypeAdapter(StrictBool),
}
assert _RESERVED_TYPES.keys() == RESERVED | {"priority"}
