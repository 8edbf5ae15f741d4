"""Reading a submission at the HTTP API: its body and its query."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from menos_bus.doors.problems import Refused
from menos_bus.doors.refusals import MAX_BODY, TOO_LARGE
from menos_bus.errors import FieldProblem, InvalidCall
from menos_bus.tasks.contract import DELIVERY
from menos_bus.tasks.envelope import Envelope


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


def options_of(request: Request) -> dict[str, Any]:
    """What the query says of the delivery, checked as the envelope of the other doors is.

    Raises:
        InvalidCall: an option is wrong, unknown or given twice.
    """
    given: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        if name not in DELIVERY:
            known = f"unknown (known: {', '.join(DELIVERY)}); a task's parameters go in the body"
            raise InvalidCall([FieldProblem(name, known)])
        if name in given:
            raise InvalidCall([FieldProblem(name, "given twice")])
        given[name] = text if name == "task_id" else _number_or_text(text)
    return Envelope.of(given).options


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
