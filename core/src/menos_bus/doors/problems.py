"""Errors of the HTTP API in one form: RFC 9457, ``application/problem+json``."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Coroutine
from http.client import responses as phrases
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from menos_bus.doors.credentials import REALM
from menos_bus.doors.refusals import (
    INTERNAL,
    RETRY_AFTER,
    Refusal,
    no_such_path,
    refusal_of,
    wrong_method,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

DOCS: Final = "/docs and docs/http-api.md"
_SUBMIT: Final = "POST /tasks/TASK"

_TEXT: Final = {"type": "string"}
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "What is wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance", "code"],
    "properties": {
        "type": {**_TEXT, "format": "uri", "description": "`urn:menos-bus:problem:` and the code."},
        "title": {**_TEXT, "description": "The status in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {**_TEXT, "description": "What is wrong and what to do, for a person."},
        "instance": {**_TEXT, "description": "The path that was asked for."},
        "code": {**_TEXT, "description": "A stable word for programs."},
        "errors": {
            "type": "array",
            "description": "Each wrong field and the reason.",
            "items": {
                "type": "object",
                "required": ["field", "reason"],
                "properties": {"field": _TEXT, "reason": _TEXT},
            },
        },
    },
}
_REFERENCE: Final = "#/components/schemas/Problem"
_WHEN: Final[dict[int, str]] = {
    401: "User, password or token is missing or wrong.",
    403: "The login is not allowed to do this.",
    404: "There is no such task, or no call with that id.",
    409: "The task id or idempotency key was used for another call.",
    413: "The body is too large.",
    422: "A field is wrong; nothing was queued.",
    500: "The bus failed; its log has the cause.",
    503: "The bus takes no calls now; nothing was queued. Try again after `Retry-After` seconds.",
}


class Refused(Exception):
    """Ends a request with this answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Json(JSONResponse):
    """JSON in ASCII: a result may hold half a surrogate pair, which UTF-8 cannot carry."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, allow_nan=False).encode("ascii")


class ProblemRoute(APIRoute):
    """A route that tells the bus's errors as problems, in whoever's application it is mounted."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler of this route, with the errors caught."""
        handler = super().get_route_handler()

        async def tell_problems(request: Request) -> Response:
            try:
                return await handler(request)
            except ClientDisconnect:
                # Nobody reads the answer.
                return problem(
                    Refusal(400, code="bad_request", message="the body was cut off"), request
                )
            except Exception as error:
                refusal = error.refusal if isinstance(error, Refused) else refusal_of(error)
                if refusal is None:
                    raise
                if refusal.status == 503:
                    logger.warning("%s %s: %s", request.method, request.url.path, error)
                return problem(refusal, request)

        return tell_problems


def problem(refusal: Refusal, request: Request) -> Response:
    """The answer to a request that is refused."""
    body: dict[str, Any] = {
        "type": f"urn:menos-bus:problem:{refusal.code}",
        "title": phrases.get(refusal.status, "Error"),
        "status": refusal.status,
        "detail": refusal.message,
        "instance": request.url.path,
        "code": refusal.code,
    }
    if refusal.fields:
        body["errors"] = [wrong._asdict() for wrong in refusal.fields]
    more = {}
    if refusal.status == 401:
        more["WWW-Authenticate"] = f'Bearer realm="{REALM}", Basic realm="{REALM}"'
    if refusal.status == 503:
        more["Retry-After"] = str(RETRY_AFTER)
    if refusal.allow:
        more["Allow"] = refusal.allow
    return Json(body, refusal.status, more, media_type=MEDIA_TYPE)


def tell_problems(app: FastAPI) -> None:
    """Let a whole application answer in problems: unknown paths, wrong methods, defects too."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            refusal = no_such_path(request.url.path, _SUBMIT, DOCS)
        elif error.status_code == 405:
            allow = (error.headers or {}).get("Allow", "")
            refusal = wrong_method(request.method, request.url.path, allow, DOCS)
        else:
            refusal = Refusal(error.status_code, "bad_request", error.detail)
        return problem(refusal, request)

    async def failed(request: Request, error: Exception) -> Response:
        return problem(INTERNAL, request)

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(Exception, failed)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These answers as FastAPI's ``responses`` take them."""
    content = {MEDIA_TYPE: {"schema": SCHEMA}}
    return {status: {"description": _WHEN[status], "content": content} for status in statuses}


def hoisted(document: dict[str, Any]) -> dict[str, Any]:
    """The same OpenAPI document with one shared schema of a problem.

    Only where the document is ours: a mounted router cannot add to somebody's components.
    """
    for path in document["paths"].values():
        for operation in path.values():
            for answer in operation.get("responses", {}).values():
                if MEDIA_TYPE in answer.get("content", {}):
                    answer["content"] = {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE}}}
    document["components"]["schemas"]["Problem"] = SCHEMA
    return document
