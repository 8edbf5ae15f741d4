"""The HTTP API: every task as a typed endpoint, described by OpenAPI.

:func:`make_router` gives the endpoints to mount in a FastAPI application of one's own,
:func:`make_api` the whole application that ``menos-bus up`` and ``menos-bus api`` serve. Needs
``menos-bus[http]``. Bodies are checked by the bus's own validation and by nothing else, so that a
call means the same at every door.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBasic, HTTPBearer

from menos_bus.bus import Bus
from menos_bus.doors.answers import Accepted, CallOutcome, Quotas, QuotaStatus, Status, Tasks
from menos_bus.doors.credentials import UNAUTHORIZED, Logins
from menos_bus.doors.idempotency import KEY_HEADER, take_key
from menos_bus.doors.openapi import body_of, parameters_of_delivery
from menos_bus.doors.page import HEADERS, page
from menos_bus.doors.problems import (
    DOCS,
    Json,
    ProblemRoute,
    Refused,
    documented,
    hoisted,
    problem,
    tell_problems,
)
from menos_bus.doors.ready import Readiness
from menos_bus.doors.refusals import Refusal, wrong_method
from menos_bus.doors.submission import options_of, read_body
from menos_bus.doors.turns import Turns
from menos_bus.doors.waiting import seconds_of, wait
from menos_bus.errors import UnknownTaskId
from menos_bus.tasks.contract import PUBLIC_TASKS
from menos_bus.tasks.envelope import read_object
from menos_bus.version import VERSION

__all__ = ["make_api", "make_router"]

ALIASES: Final[dict[str, str]] = {"/youtube/ingest-async": "tasks.ingest_youtube"}
"""Paths that existing workflows use → the public task behind them."""


class _Shown(HTTPBearer):
    """A way to log in, for the OpenAPI document only: :class:`Logins` looks at the header."""

    def __init__(self, shown: HTTPBearer | HTTPBasic) -> None:
        self.model = shown.model
        self.scheme_name = shown.scheme_name

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        """Take whatever comes."""


_BEARER: Final = Security(_Shown(HTTPBearer(scheme_name="bearer")))
_BASIC: Final = Security(_Shown(HTTPBasic(scheme_name="basic")))
_TIMEOUT: Final = Query(
    None,
    description="Seconds to wait for the end of the task, at most 600; without it the answer "
    "comes at once.",
    json_schema_extra={"type": "number"},
)


def make_router(bus: Bus, authorize: Callable[..., Any]) -> APIRouter:
    """The endpoints, to mount in a FastAPI application.

    Args:
        bus: the bus that takes the calls.
        authorize: a FastAPI dependency that raises for whoever may not submit calls and read
            results. ``/health`` and ``/ready`` are open.
    """
    _ = bus.app  # lets the plugins configure it, which one may fail at: its tasks are gone then
    door = _Door(bus)
    guarded = APIRouter(route_class=ProblemRoute, dependencies=[Depends(authorize)])
    _add_calls(guarded, door)
    _add_quotas(guarded, door)
    router = APIRouter(route_class=ProblemRoute)
    router.include_router(guarded)
    _add_state(router, door)
    return router


def _add_calls(router: APIRouter, door: _Door) -> None:
    for name in door.names:
        _add_submission(router, door, f"/tasks/{name}", name, name)
    for path, name in ALIASES.items():
        operation = path.strip("/").replace("/", "_").replace("-", "_")
        _add_submission(router, door, path, name, operation)
    router.add_api_route(
        "/tasks",
        door.list_tasks,
        methods=["GET"],
        response_model=Tasks,
        responses=documented(401, 403),
        operation_id="list_tasks",
        summary="List the tasks that can be called.",
        tags=["calls"],
    )
    router.add_api_route(
        "/tasks/{task_id}",
        door.read_outcome,
        methods=["GET"],
        response_model=CallOutcome,
        responses=documented(401, 403, 404, 422, 503),
        operation_id="read_outcome",
        name="menos_bus_read_outcome",
        summary="Read the outcome of a call.",
        tags=["calls"],
    )
    # After the others: whatever is called by another name.
    router.add_api_route(
        "/tasks/{name}", door.submit_by_name, methods=["POST"], include_in_schema=False
    )


def _add_submission(router: APIRouter, door: _Door, path: str, name: str, operation: str) -> None:
    spec = door.bus.registry.get(name)
    outcome = {
        "operationId": "read_outcome",
        "parameters": {"task_id": "$response.body#/task_id"},
    }
    router.add_api_route(
        path,
        door.submission_of(name),
        methods=["POST"],
        status_code=202,
        response_model=Accepted,
        response_description="The call is recorded; `Location` is where its outcome is.",
        responses=documented(401, 403, 404, 409, 413, 422, 503),
        operation_id=operation,
        summary=(spec.summary or name) if spec else f"Call {name} on the host that has it.",
        description=(spec.description or None) if spec else None,
        tags=[name.partition(".")[0] if spec is None else spec.plugin],
        openapi_extra={
            "requestBody": body_of(spec),
            "parameters": parameters_of_delivery(),
            "responses": {"202": {"links": {"outcome": outcome}}},
        },
    )


def _add_quotas(router: APIRouter, door: _Door) -> None:
    router.add_api_route(
        "/api/v1/quota",
        door.list_quotas,
        methods=["GET"],
        response_model=Quotas,
        responses=documented(401, 403, 503),
        operation_id="list_quotas",
        summary="Show how all quotas are.",
        tags=["quotas"],
    )
    router.add_api_route(
        "/api/v1/quota/{name}",
        door.read_quota,
        methods=["GET"],
        response_model=QuotaStatus,
        responses=documented(401, 403, 404, 503),
        operation_id="read_quota",
        summary="Show how a quota is: used, left, when it resets.",
        tags=["quotas"],
    )


def _add_state(router: APIRouter, door: _Door) -> None:
    router.add_api_route(
        "/health",
        _health,
        methods=["GET"],
        response_model=Status,
        operation_id="health",
        summary="Whether the process answers.",
        tags=["state"],
    )
    router.add_api_route(
        "/ready",
        door.ready,
        methods=["GET"],
        response_model=Status,
        responses=documented(503),
        operation_id="ready",
        summary="Whether the broker and the result store answer.",
        tags=["state"],
    )


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The document, with the form of a problem told once."""
        return hoisted(super().openapi())


def make_api(bus: Bus, logins: Logins) -> FastAPI:
    """The whole HTTP API, for callers and the operator of a bus.

    Args:
        bus: the bus that takes the calls.
        logins: who may come in; the caller's login is enough for everything here.
    """
    api = _Api(
        title="menos-bus",
        version=VERSION,
        description="Submit a task, get its id, read its outcome. Log in with the callers' "
        "password as a bearer token, or with user and password.",
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    tell_problems(api)
    api.include_router(make_router(bus, _login_check(logins)))

    async def docs(request: Request) -> Response:
        shown = page(api.openapi(), str(request.base_url).rstrip("/"))
        return HTMLResponse(shown, headers=HEADERS)

    api.add_api_route("/docs", docs, include_in_schema=False)
    return api


def _login_check(logins: Logins) -> Callable[..., None]:
    def authorize(request: Request, bearer: Any = _BEARER, basic: Any = _BASIC) -> None:
        given = request.headers.get("Authorization", "")
        if logins.role_of(given) is None:
            raise Refused(Refusal(401, code="unauthorized", message=UNAUTHORIZED))
        with_password = given.lower().startswith("basic")
        if request.method != "GET" and with_password and _of_another_site(request):
            # A browser that knows user and password sends them for any page that asks.
            raise Refused(
                Refusal(403, code="forbidden", message="a page of another site cannot submit calls")
            )

    return authorize


def _of_another_site(request: Request) -> bool:
    site, origin = (request.headers.get(name) for name in ("Sec-Fetch-Site", "Origin"))
    if site is not None:
        return site != "same-origin"
    # Without TLS, browsers tell only this to another machine.
    return origin is not None and urlsplit(origin).netloc != request.headers.get("Host")


class _Door:
    """The endpoints of one bus."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        # A fleet's bus sends the public tasks to the hosts that have them.
        elsewhere = () if bus.settings.embedded else PUBLIC_TASKS
        self.names = sorted({*bus.registry, *elsewhere})
        self._ready = Readiness(bus)
        self._turns = Turns(bus)

    def submission_of(self, name: str) -> Callable[..., Any]:
        async def submit(request: Request) -> Response:
            return await self.submit(request, name)

        return submit

    async def submit_by_name(self, request: Request, name: str) -> Response:
        return await self.submit(request, name)

    async def submit(self, request: Request, name: str) -> Response:
        if name not in self.names:
            _ = self.bus.registry[name]  # says which there are
        options = options_of(request)
        arguments = read_object(await read_body(request))
        take_key(request.headers.get(KEY_HEADER), arguments)
        task_id = await self._turns.submit(name, [], arguments, **options)
        outcome = request.url_for("menos_bus_read_outcome", task_id=task_id)
        return Json(Accepted(task_id=task_id).model_dump(), 202, {"Location": outcome.path})

    async def list_tasks(self) -> Response:
        return Json({"tasks": [spec.as_json() for spec in self.bus.registry.values()]})

    async def read_outcome(
        self,
        request: Request,
        task_id: str = Path(description="What the submission answered."),
        timeout: Any = _TIMEOUT,
    ) -> Response:
        seconds = seconds_of(timeout)
        try:
            outcome = await wait(self.bus, task_id, seconds, request.is_disconnected)
        except UnknownTaskId:
            if task_id not in self.names:
                raise
            # Who opens the path of a task means the task.
            raise Refused(wrong_method("GET", request.url.path, "POST", DOCS)) from None
        shown = outcome.as_json()
        return Json({"task_id": shown.pop("task_id"), "status": shown.pop("state"), **shown})

    async def list_quotas(self) -> Response:
        found = [await self._quota(name) for name in self.bus.quotas]
        return Json({"quotas": found})

    async def read_quota(
        self, name: str = Path(description="The quota's name, such as `youtube`.")
    ) -> Response:
        return Json(await self._quota(name))

    async def _quota(self, name: str) -> dict[str, Any]:
        # In a thread, since a store that is away keeps it waiting.
        status = await run_in_threadpool(self.bus.quota, name)
        return status.as_json()

    async def ready(self, request: Request) -> Response:
        if wrong := await self._ready.problems():
            said = "the bus cannot take calls now"
            return problem(Refusal(503, code="unavailable", message=said, fields=wrong), request)
        return Json({"status": "ready"})


async def _health() -> Response:
    return Json({"status": "ok"})
