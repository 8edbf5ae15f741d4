"""The Flower door: Flower with our application, our checks and our answers.

Flower itself hands any option of the body to Celery, lets wrong arguments through, and calls an id
that never existed PENDING. The handlers here replace its task endpoints; everything else of Flower
is as it is, behind the same password.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable
from dataclasses import asdict
from http.client import responses
from typing import Any, Final

from flower.api.tasks import BaseTaskHandler
from flower.app import Flower
from flower.options import default_options
from flower.urls import settings as flower_settings
from flower.views.monitor import Healthcheck, Metrics
from pydantic_core import from_json
from tornado.web import HTTPError

from menos_bus.bus import Bus
from menos_bus.doors.credentials import Credentials
from menos_bus.errors import BusError, CallError, FieldProblem, InvalidCall, UnknownTaskId
from menos_bus.outcomes.depths import queue_depths
from menos_bus.outcomes.outcome import Outcome
from menos_bus.tasks.envelope import Envelope

logger = logging.getLogger(__name__)

LONGEST_WAIT: Final = 600.0
"""Seconds for which a caller may wait for a result in one request."""
_POLL: Final = (0.02, 0.5)
"""Seconds between two looks at a result: the first pause, and the longest."""


class _Handler(BaseTaskHandler):  # type: ignore[misc]  # Flower ships no types
    """Answers in JSON, errors too: ``{"error": {"code", "message", "fields"?}}``."""

    _hung_up = False

    @property
    def bus(self) -> Bus:
        bus: Bus = self.application.bus
        return bus

    def prepare(self) -> None:
        super().prepare()
        self.get_current_user()  # raises 401

    def get_current_user(self) -> Any:
        """Flower's check; it compares texts, which fails for any that are not ASCII."""
        try:
            return super().get_current_user()
        except TypeError:
            raise HTTPError(401) from None

    async def in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run what blocks (broker, store) off the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self.application.executor, lambda: function(*args, **kwargs)
        )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        if isinstance(error, CallError):
            status_code = error.status
            body: dict[str, Any] = {"code": error.code, "message": error.message}
            if isinstance(error, InvalidCall):
                body["fields"] = [problem._asdict() for problem in error.problems]
            if status_code == 503:
                self.set_header("Retry-After", "10")
        elif isinstance(error, UnknownTaskId):
            status_code = 404
            body = {"code": error.code, "message": error.message}
        elif status_code == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="menos-bus"')
            body = {"code": "unauthorized", "message": "user or password is missing or wrong"}
        elif isinstance(error, HTTPError):
            body = {"code": "bad_request", "message": error.log_message or responses[status_code]}
        else:
            body = {"code": "internal_error", "message": "the bus failed; its log has the cause"}
        self.set_status(status_code)
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(json.dumps({"error": body}))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, BusError):
            super().log_exception(typ, value, tb)

    async def wait(self, task_id: str, seconds: float) -> Outcome:
        """The outcome, at the latest after this many seconds."""
        deadline = asyncio.get_running_loop().time() + min(max(seconds, 0.0), LONGEST_WAIT)
        pause, longest = _POLL
        while True:
            outcome: Outcome = await self.in_thread(self.bus.outcome, task_id)
            late = asyncio.get_running_loop().time() >= deadline
            if outcome.ready or late or self._hung_up:
                return outcome
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, longest)

    def on_connection_close(self) -> None:
        """The caller does not wait any more."""
        self._hung_up = True

    def timeout_argument(self, default: float) -> float:
        text = self.get_query_argument("timeout", None)
        try:
            seconds = default if text is None else float(text)
        except ValueError:
            seconds = math.nan
        if not math.isfinite(seconds):
            raise InvalidCall([FieldProblem("timeout", "must be a number of seconds")])
        return seconds

    def write_outcome(self, outcome: Outcome) -> None:
        """Answer in Flower's words (``task-id``, ``state``, ``result``) and in ours."""
        shown = outcome.as_json()
        if outcome.error is not None and outcome.ready:
            # Where Flower's own callers look for what went wrong.
            shown["result"] = outcome.error["message"]
        self.write({"task-id": shown.pop("task_id"), **shown})


class AsyncApply(_Handler):
    """``POST /api/task/async-apply/<task>``: submit a call."""

    async def post(self, name: str) -> None:
        envelope = Envelope.parse(self.request.body)
        task_id = await self.submit(name, envelope)
        self.write({"task-id": task_id, "state": "PENDING"})

    async def submit(self, name: str, envelope: Envelope) -> str:
        # Only tasks that are registered here: for others nothing could be checked.
        spec = self.bus.registry[name]
        task_id: str = await self.in_thread(
            self.bus.submit, spec.name, envelope.args, envelope.kwargs, **envelope.options
        )
        return task_id


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
        self.write_outcome(await self.wait(task_id, self.timeout_argument(0.0)))


class TaskTypes(_Handler):
    """``GET /api/task/types``: every task that can be called, not only those seen already."""

    def get(self) -> None:
        self.write({"task-types": list(self.bus.registry)})


class QueueLengths(_Handler):
    """``GET /api/queues/length``: from the ledger, so that it works with every broker."""

    async def get(self) -> None:
        depths = await self.in_thread(queue_depths, self.bus.app)
        self.write({"active_queues": depths})


class Health(_Handler):
    """``GET /api/health``: what the plugins say of themselves, in the process that serves them."""

    async def get(self) -> None:
        checks = await self.in_thread(lambda: [asdict(c) for c in self.bus.hooks.check_health()])
        self.write({"checks": checks})


class _GuardedMetrics(Metrics):  # type: ignore[misc]  # Flower ships no types
    def prepare(self) -> None:
        self.get_current_user()


class _GuardedHealthcheck(Healthcheck):  # type: ignore[misc]  # Flower ships no types
    def prepare(self) -> None:
        self.get_current_user()


_HANDLERS: Final = [
    (r"/api/task/async-apply/(.+)", AsyncApply),
    (r"/api/task/send-task/(.+)", AsyncApply),
    (r"/api/task/apply/(.+)", Apply),
    (r"/api/task/result/(.+)", Result),
    (r"/api/task/types", TaskTypes),
    (r"/api/queues/length", QueueLengths),
    (r"/api/health", Health),
    (r"/metrics", _GuardedMetrics),
    (r"/healthcheck", _GuardedHealthcheck),
]


def make_flower(bus: Bus, login: Credentials) -> Flower:
    """Flower with the bus's application and these handlers, not listening yet.

    Flower keeps its options in a module of its own, so a process can have one Flower only.
    """
    options = default_options
    options.address = bus.settings.flower_host
    options.port = bus.settings.flower_port
    options.basic_auth = [f"{login.user}:{login.password}"]
    options.persistent = True
    options.db = str(bus.settings.home / "flower")
    # Flower writes its whole state on the event loop, so not often and not much; the record of
    # every call is the ledger.
    options.state_save_interval = 30_000
    options.max_tasks = 5_000
    # Refused requests are told to their callers; Python would print them without a handler.
    access = logging.getLogger("tornado.access")
    access.addHandler(logging.NullHandler())
    access.propagate = False
    flower = Flower(capp=bus.app, options=options, **flower_settings)
    flower.bus = bus
    flower.add_handlers(r".*", _HANDLERS)
    return flower


def _take_timeout(body: bytes) -> tuple[Envelope, float | None]:
    try:
        fields = from_json(body or b"{}", allow_inf_nan=False)
    except ValueError:
        return Envelope.parse(body), None  # says what is wrong with it
    if not isinstance(fields, dict) or "timeout" not in fields:
        return Envelope.parse(body), None
    timeout = fields.pop("timeout")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float))):
        raise InvalidCall([FieldProblem("timeout", "must be a number of seconds")])
    return Envelope.parse(json.dumps(fields)), timeout
