"""What a message from a queue says, whoever wrote it: read without trusting a single byte.

Three kinds arrive: messages of this bus, which have the token that its ledger knows; Celery's own
protocols 1 and 2 from other programs; and plain JSON such as
``{"task": "tasks.ingest_youtube", "args": […]}`` with any content type or none, as n8n's RabbitMQ
node sends it. The last two are calls from outside, and get the same checks as at every other door.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from menos_bus.errors import FieldProblem, InvalidCall
from menos_bus.messages.publish import CALLBACK_HEADER, PRIORITY_HEADER
from menos_bus.outcomes.ledger import ACCEPTED_HEADER, Entry
from menos_bus.tasks.contract import core_queue
from menos_bus.tasks.envelope import ID, Envelope, TaskId, hint_at_kwargs

_ENVELOPE: Final = frozenset({"id", *Envelope.model_fields})
_HEADERS: Final[tuple[str, ...]] = ("task", "id", "eta", "expires", "timelimit")
"""The headers of Celery's protocol 2 that say something of the call."""
_CANVAS: Final = ("callbacks", "errbacks", "chain", "chord")
"""What Celery would run next: refused from outside, since nobody checked it."""
_PROTOCOL_1: Final = frozenset(
    {"retries", "utc", "taskset", "group", "group_index", "ignore_result"}
)
"""What Celery's protocol 1 always sends, and what changes nothing here."""
_RESERVED: Final = {CALLBACK_HEADER: "callback_url", PRIORITY_HEADER: "priority"}
"""Where the bus's own messages have the reserved arguments."""
_TASK_ID: Final[TypeAdapter[str]] = TypeAdapter(TaskId)


class Malformed(Exception):
    """A message that is no call.

    Attributes:
        code: a stable word for programs.
        reason: what is wrong with it, naming the field.
        task: the task that it names, if it can be read.
        task_id: the id that it names, if it is one.
        callback_url: where its sender wants to hear of it, if it says so.
    """

    def __init__(
        self,
        reason: str,
        code: str = "malformed",
        *,
        task: str | None = None,
        task_id: str | None = None,
        callback_url: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.task = task
        self.task_id = task_id
        self.callback_url = callback_url


@dataclass(frozen=True)
class Outside:
    """A call from outside, as its sender wrote it."""

    task: str
    envelope: Envelope

    @property
    def callback_url(self) -> str | None:
        """Where its sender wants to hear of it, checked by nobody yet."""
        return _text(self.envelope.kwargs.get("callback_url"))


@dataclass(frozen=True)
class Own:
    """A message that says that this bus has sent it, and recorded it before.

    If it is so, the rest of it is right: its arguments were checked then, and are again when it is
    run. If not, :func:`read_outside` reads it.
    """

    task: str
    task_id: str
    token: str

    def is_of(self, entry: Entry | None) -> TypeGuard[Entry]:
        """Whether that is true, and this is the record."""
        return entry is not None and entry.token == self.token


def read(headers: Any, body: bytes | str) -> Own | Outside:
    """Read a message.

    Args:
        headers: its AMQP headers.
        body: its body, decompressed.

    Raises:
        Malformed: it is neither; the reason names the field.
    """
    headers = dict(headers) if isinstance(headers, Mapping) else {}
    accepted = headers.get(ACCEPTED_HEADER)
    # Calls that were accepted before there were tokens have none in the ledger either.
    token = "" if accepted in (True, "") else _text(accepted)
    task, task_id = _text(headers.get("task")), _valid_id(headers.get("id"))
    if token is None or task is None or task_id is None:
        return read_outside(headers, body)
    return Own(task, task_id, token)


def read_outside(headers: Any, body: bytes | str) -> Outside:
    """Read a message as a call from outside, whatever it says of itself.

    Args as for :func:`read`.

    Raises:
        Malformed: it is no call; the reason names the field.
    """
    headers = dict(headers) if isinstance(headers, Mapping) else {}
    fields = _fields(headers, _parse(body, headers))
    try:
        return _read_outside(fields)
    except InvalidCall as error:
        raise _malformed(error.message, fields, error.code) from None


def _malformed(reason: str, fields: Mapping[str, Any], code: str = "malformed") -> Malformed:
    """With everything that can be read of the call in spite of what is wrong."""
    kwargs = fields.get("kwargs")
    return Malformed(
        reason,
        code,
        task=_text(fields.get("task")),
        task_id=_valid_id(fields.get("id")),
        callback_url=_text(kwargs.get("callback_url")) if isinstance(kwargs, dict) else None,
    )


def _parse(body: bytes | str, headers: dict[str, Any]) -> Any:
    try:
        text = body if isinstance(body, str) else body.decode()
        return from_json(text, allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"body: not JSON in UTF-8: {error}", headers) from None


def _is_protocol_2(content: Any) -> bool:
    return (
        isinstance(content, list)
        and len(content) == 3
        and isinstance(content[0], list)
        and isinstance(content[1], dict)
        and (content[2] is None or isinstance(content[2], dict))
    )


def _fields(headers: dict[str, Any], content: Any) -> dict[str, Any]:
    """The call's words, out of whichever form they came in."""
    told: dict[str, Any] = {name: headers[name] for name in _HEADERS if name in headers}
    if "task" in headers and _is_protocol_2(content):
        args, kwargs, embed = content
        canvas = {name: (embed or {}).get(name) for name in _CANVAS}
        reserved = {name: headers[sent] for sent, name in _RESERVED.items() if sent in headers}
        return {**told, **canvas, "args": args, "kwargs": {**kwargs, **reserved}}
    if isinstance(content, dict):
        return {**told, **content}
    wanted = '{"task": "…", "args": […], "kwargs": {…}}'
    if "task" in headers:
        wanted = "[args, kwargs, embed]"
    raise _malformed(f"body: must be {wanted}", told)


def _read_outside(fields: dict[str, Any]) -> Outside:
    task = fields.get("task")
    if not isinstance(task, str) or not task:
        raise InvalidCall([FieldProblem("task", "must name a task, as a text")])
    if core_queue(task) is not None:
        # Celery's own tasks run signatures that they are given, and nobody would check those.
        raise InvalidCall([FieldProblem("task", f"{task} is the bus's own, and not for callers")])
    problems = [
        FieldProblem(name, "is not taken from outside: send each step as a call of its own")
        for name in _CANVAS
        if fields.get(name)
    ]
    if fields.get("timelimit") not in (None, [None, None]):
        problems.append(FieldProblem("timelimit", "is the task's own to set"))
    if fields.get("id") is not None and _valid_id(fields["id"]) is None:
        problems.append(FieldProblem("id", f"must be {ID.what}"))
    known = {"task", "timelimit", *_CANVAS, *_ENVELOPE, *_PROTOCOL_1}
    problems += [
        FieldProblem(name, f"is no field of a call{hint_at_kwargs(name, fields)}")
        for name in fields.keys() - known
    ]
    if problems:
        raise InvalidCall(problems)
    # Celery's clients write null where they mean nothing.
    given = {name: fields[name] for name in _ENVELOPE if fields.get(name) is not None}
    if "id" in given:
        given.setdefault("task_id", given["id"])
        del given["id"]
    return Outside(task, Envelope.of(given))


def _valid_id(value: Any) -> str | None:
    try:
        return _TASK_ID.validate_python(value, strict=True)
    except ValidationError:
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 2048 else None
