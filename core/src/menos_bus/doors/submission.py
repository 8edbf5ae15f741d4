"""Reading a submission at the HTTP API: its body, its query, its idempotency key."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json

from menos_bus.doors.openapi import KEY_HEADER, OPTIONS
from menos_bus.doors.problems import Refused
from menos_bus.doors.refusals import MAX_BODY, TOO_LARGE
from menos_bus.errors import FieldProblem, InvalidCall
from menos_bus.tasks.envelope import Envelope
from menos_bus.tasks.schema import problems_of


async def read_body(request: Request) -> bytes:
    """The body.

    Raises:
        Refused: it is larger than :data:`MAX_BODY`; the rest of it is not read.
    """
    declared = request.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) > MAX_BODY:
        raise Refused(TOO_LARGE)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise Refused(TOO_LARGE)
    return bytes(body)


def arguments_of(body: bytes) -> dict[str, Any]:
    """The task's arguments by name, not checked yet.

    Raises:
        InvalidCall: the body is no JSON object.
    """
    try:
        arguments = from_json(body or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise InvalidCall([FieldProblem("body", f"invalid JSON: {error}")]) from None
    if not isinstance(arguments, dict):
        raise InvalidCall([FieldProblem("body", "must be a JSON object of the task's parameters")])
    return arguments


def take_key(request: Request, arguments: dict[str, Any]) -> None:
    """Make the header ``Idempotency-Key`` the reserved argument that it stands for.

    Raises:
        InvalidCall: header and body give different keys.
    """
    key = request.headers.get(KEY_HEADER)
    if key is None:
        return
    if arguments.setdefault("idempotency_key", key) != key:
        reason = "differs from the idempotency_key in the body: give one of the two"
        raise InvalidCall([FieldProblem(KEY_HEADER, reason)])


def options_of(request: Request) -> dict[str, Any]:
    """What the query says of the delivery, checked as the envelope of the other doors is.

    Raises:
        InvalidCall: an option is wrong, unknown or given twice.
    """
    given: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        if name not in OPTIONS:
            known = f"unknown (known: {', '.join(OPTIONS)}); a task's parameters go in the body"
            raise InvalidCall([FieldProblem(name, known)])
        if name in given:
            raise InvalidCall([FieldProblem(name, "given twice")])
        given[name] = text if name == "task_id" else _number_or_text(text)
    try:
        return Envelope.model_validate(given).options
    except ValidationError as error:
        raise InvalidCall(problems_of(error)) from None


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
