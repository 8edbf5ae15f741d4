"""The Flower door: Flower with our application, our checks and our answers.

Flower itself hands any option of the body to Celery, lets wrong arguments through, calls an id
that never existed PENDING, and gives everybody with the password everything. The handlers here
replace its task endpoints; everything else of Flower is as it is, for the operator alone.
"""

from __future__ import annotations

import json
import logging
from asyncio import to_thread
from dataclasses import asdict
from http.client import responses
from typing import Any, ClassVar, Final

from flower.api.tasks import BaseTaskHandler
from flower.app import Flower
from flower.options import default_options
from flower.urls import settings as flower_settings
from flower.views.error import NotFoundErrorHandler
from flower.views.monitor import Healthcheck
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import HTTPError, RequestHandler, stream_request_body

from menos_bus.bus import Bus
from menos_bus.doors.credentials import FORBIDDEN, REALM, UNAUTHORIZED, Logins, Role
from menos_bus.doors.refusals import (
    INTERNAL,
    MAX_BODY,
    RETRY_AFTER,
    TOO_LARGE,
    Refusal,
    no_such_path,
    refusal_of,
    wrong_method,
)
from menos_bus.doors.serving import CannotListen
from menos_bus.doors.turns import Turns
from menos_bus.doors.waiting import LONGEST_WAIT, seconds_of, wait
from menos_bus.errors import BusError, FieldProblem, InvalidCall
from menos_bus.messages.depths import queue_depths
from menos_bus.outcomes.outcome import Outcome
from menos_bus.plugins.hookspecs import Check
from menos_bus.tasks.envelope import Envelope, read_object
from menos_bus.tasks.register import restart_for

logger = logging.getLogger(__name__)

_SUBMIT: Final = "POST /api/task/async-apply/TASK"
_DOCS: Final = "docs/doors.md"


class _GuardedFlower(Flower):  # type: ignore[misc]  # Flower ships no types
    """Flower that looks at who asks before any handler is made.

    Every request passes :meth:`get_handler_delegate`, whatever its path. A handler is the
    operator's unless its class says ``for_callers``, so what a later Flower adds is closed, too.
    """

    bus: Bus
    logins: Logins
    turns: Turns

    _server: HTTPServer | None = None

    def start_http_server(self) -> int:
        """Listen, and return the port.

        Raises:
            CannotListen: the address cannot be had.
        """
        host, port = self.options.address, self.options.port
        try:
            sockets = bind_sockets(port, address=host)
        except OSError as error:
            raise CannotListen(host, port, "MENOS_FLOWER_PORT", error) from error
        self._server = HTTPServer(self, xheaders=self.options.xheaders)
        self._server.add_sockets(sockets)
        bound: int = sockets[0].getsockname()[1]
        return bound

    def stop(self) -> None:
        """End, and keep what the pages show; with a full disk, end all the same."""
        try:
            super().stop()
        finally:
            self.io_loop.stop()

    def hang_up(self) -> None:
        """After the end: let nobody wait for an answer while tasks finish."""
        if self._server is not None:
            self._server.stop()
            self.io_loop.run_sync(self._server.close_all_connections)

    def get_handler_delegate(
        self, request: Any, target_class: type, *args: Any, **kwargs: Any
    ) -> Any:
        """Tornado's dispatch; a request that is refused gets a handler that says so."""
        role = self.logins.role_of(request.headers.get("Authorization"))
        refusal = _checked(role, target_class, request)
        if refusal is TOO_LARGE:
            target_class, args, kwargs = _TooLarge, (), {}
        elif refusal is not None:
            target_class, args, kwargs = _Refused, ({"refusal": refusal},), {}
        elif role is Role.OPERATOR:
            # Flower's own handlers look once more, and know this one form only.
            request.headers["Authorization"] = self.logins.operator.basic
        return super().get_handler_delegate(request, target_class, *args, **kwargs)


class _Handler(BaseTaskHandler):  # type: ignore[misc]  # Flower ships no types
    """Answers in JSON, errors too: ``{"error": {"code", "message", "fields"?}}``."""

    for_callers: ClassVar = True
    _has_hung_up = False

    @property
    def bus(self) -> Bus:
        bus: Bus = self.application.bus
        return bus

    def get_current_user(self) -> Any:
        """Whoever the dispatch has let in."""
        return True

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        if isinstance(error, HTTPError):
            message = error.log_message or responses[status_code]
            refusal = Refusal(status_code, code="bad_request", message=message)
        else:
            refusal = refusal_of(error) or INTERNAL
        self.refuse(refusal)

    def refuse(self, refusal: Refusal) -> None:
        """End the request with this answer."""
        body: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
        if refusal.fields:
            body["fields"] = [problem._asdict() for problem in refusal.fields]
        if refusal.status == 401:
            self.set_header("WWW-Authenticate", f'Basic realm="{REALM}"')
        if refusal.status == 503:
            self.set_header("Retry-After", str(RETRY_AFTER))
        if refusal.allow:
            self.set_header("Allow", refusal.allow)
        self.set_status(refusal.status)
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(json.dumps({"error": body}))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, BusError):
            super().log_exception(typ, value, tb)

    async def wait(self, task_id: str, seconds: float) -> Outcome:
        return await wait(self.bus, task_id, seconds, self._hung_up)

    async def _hung_up(self) -> bool:
        return self._has_hung_up

    def on_connection_close(self) -> None:
        """The caller does not wait any more."""
        self._has_hung_up = True

    def write_outcome(self, outcome: Outcome) -> None:
        """Answer in Flower's words (``task-id``, ``state``, ``result``) and in ours."""
        shown = outcome.as_json()
        if outcome.error is not None and outcome.ready:
            # Where Flower's own callers look for what went wrong.
            shown["result"] = outcome.error["message"]
        self.write({"task-id": shown.pop("task_id"), **shown})


class _Refused(_Handler):
    """Ends a request with the answer that the dispatch has found."""

    def initialize(self, refusal: Refusal) -> None:
        """Tornado's: what the dispatch hands over."""
        self._refusal = refusal

    def prepare(self) -> None:
        self.refuse(self._refusal)


@stream_request_body
class _TooLarge(_Handler):
    """Throws the body away as it comes: who sends one reads no answer before its end."""

    def prepare(self) -> None:
        self.request.connection.set_max_body_size(_declared_size(self.request))

    def data_received(self, chunk: bytes) -> None:
        """Do without it."""

    def post(self) -> None:
        self.refuse(TOO_LARGE)

    get = head = options = put = patch = delete = post


class AsyncApply(_Handler):
    """``POST /api/task/async-apply/<task>``: submit a call."""

    async def post(self, name: str) -> None:
        envelope = Envelope.parse(self.request.body)
        task_id = await self.submit(name, envelope)
        self.write({"task-id": task_id, "state": "PENDING"})

    async def submit(self, name: str, envelope: Envelope) -> str:
        # Only tasks that are registered here: for others nothing could be checked.
        spec = self.bus.registry[name]
        turns: Turns = self.application.turns
        return await turns.submit(spec.name, envelope.args, envelope.kwargs, **envelope.options)


class Apply(AsyncApply):
    """``POST /api/task/apply/<task>``: submit a call and wait for its outcome."""

    async def post(self, name: str) -> None:
        # Flower takes the time to wait from the body here.
        envelope, seconds = _take_timeout(self.request.body)
        task_id = await self.submit(name, envelope)
        self.write_outcome(await self.wait(task_id, LONGEST_WAIT if seconds is None else seconds))


class Result(_Handler):
    """``GET /api/task/result/<id>``: the outcome now, or within ``?timeout=`` seconds."""

    async def get(self, task_id: str) -> None:
        self.write_outcome(
            await self.wait(task_id, seconds_of(self.get_query_argument("timeout", None)))
        )


class TaskTypes(_Handler):
    """``GET /api/task/types``: every task that can be called, not only those seen already."""

    def get(self) -> None:
        self.write({"task-types": list(self.bus.registry)})


class QueueLengths(_Handler):
    """``GET /api/queues/length``: from the ledger, so that it works with every broker."""

    async def get(self) -> None:
        depths = await to_thread(queue_depths, self.bus.app)
        self.write({"active_queues": depths})


class Quotas(_Handler):
    """``GET /api/v1/quota`` and ``GET /api/v1/quota/<name>``: as at the HTTP API."""

    async def get(self, name: str | None) -> None:
        if name is not None:
            self.write((await to_thread(self.bus.quota, name)).as_json())
            return
        found = await to_thread(lambda: [self.bus.quota(each) for each in self.bus.quotas])
        self.write({"quotas": [status.as_json() for status in found]})


class ReopenQuota(_Handler):
    """``POST /api/v1/quota/<name>/reopen``: as ``menos-bus quota NAME --reopen``."""

    for_callers: ClassVar = False

    async def post(self, name: str) -> None:
        await to_thread(self.bus.reopen_quota, name)
        self.write((await to_thread(self.bus.quota, name)).as_json())


class Health(_Handler):
    """``GET /api/health``: what the plugins say of themselves, in the process that serves them."""

    async def get(self) -> None:
        self.write({"checks": await to_thread(self._checks)})

    def _checks(self) -> list[dict[str, Any]]:
        unloaded = [
            Check("bus", False, restart_for(plugin), "Ctrl-C, then `menos-bus up`")
            for plugin in sorted(self.bus.newer)
        ]
        return [asdict(check) for check in (*unloaded, *self.bus.hooks.check_health())]


class _OpenHealthcheck(Healthcheck):  # type: ignore[misc]  # Flower ships no types
    for_callers: ClassVar = True

    def get_current_user(self) -> Any:
        """Whoever the dispatch has let in."""
        return True


_HANDLERS: Final = [
    (r"/api/task/async-apply/(.+)", AsyncApply),
    (r"/api/task/send-task/(.+)", AsyncApply),
    (r"/api/task/apply/(.+)", Apply),
    (r"/api/task/result/(.+)", Result),
    (r"/api/task/types", TaskTypes),
    (r"/api/queues/length", QueueLengths),
    (r"/api/v1/quota/(.+)/reopen", ReopenQuota),
    (r"/api/v1/quota(?:/(.+))?", Quotas),
    (r"/api/health", Health),
    (r"/healthcheck", _OpenHealthcheck),
]


def make_flower(bus: Bus, logins: Logins) -> Flower:
    """Flower with the bus's application and these handlers, not listening yet.

    Flower keeps its options in a module of its own, so a process can have one Flower only.
    """
    options = default_options
    options.address = bus.settings.flower_host
    options.port = bus.settings.flower_port
    options.basic_auth = [f"{logins.operator.user}:{logins.operator.password}"]
    if bus.settings.broker_api is not None:
        options.broker_api = bus.settings.broker_api.get_secret_value()
    options.persistent = True
    options.db = str(bus.settings.make_home() / "flower")
    # Flower writes its whole state on the event loop, so not often and not much; the record of
    # every call is the ledger.
    options.state_save_interval = 30_000
    options.max_tasks = 5_000
    # Refused requests are told to their callers; Python would print them without a handler.
    access = logging.getLogger("tornado.access")
    access.addHandler(logging.NullHandler())
    access.propagate = False
    flower = _GuardedFlower(capp=bus.app, options=options, **flower_settings)
    flower.bus = bus
    flower.logins = logins
    flower.turns = Turns(bus)
    flower.add_handlers(r".*", _HANDLERS)
    return flower


def _checked(role: Role | None, handler: type, request: Any) -> Refusal | None:
    """What is wrong with a request before its handler is asked, if anything is."""
    if role is None:
        return Refusal(401, code="unauthorized", message=UNAUTHORIZED)
    if issubclass(handler, NotFoundErrorHandler):
        return no_such_path(request.path, _SUBMIT, _DOCS)
    if role is not Role.OPERATOR and not getattr(handler, "for_callers", False):
        return Refusal(403, code="forbidden", message=FORBIDDEN)
    if _declared_size(request) > MAX_BODY:
        return TOO_LARGE
    methods = _methods_of(handler)
    if request.method not in methods:
        allow = ", ".join(method for method in methods if method != "OPTIONS")
        return wrong_method(request.method, request.path, allow, _DOCS)
    return None


def _methods_of(handler: type) -> list[str]:
    """The methods that a handler takes; Tornado gives it all the others, to refuse them."""
    refused = RequestHandler._unimplemented_method
    methods = RequestHandler.SUPPORTED_METHODS
    return [name for name in methods if getattr(handler, name.lower()) is not refused]


def _declared_size(request: Any) -> int:
    declared = request.headers.get("Content-Length", "")
    return int(declared) if declared.isdecimal() else 0


def _take_timeout(body: bytes) -> tuple[Envelope, float | None]:
    fields = read_object(body)
    timeout = fields.pop("timeout", None)
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float))):
        raise InvalidCall([FieldProblem("timeout", "must be a number of seconds")])
    return Envelope.of(fields), timeout
