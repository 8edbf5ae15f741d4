"""The endpoints of the Flower door: calls, outcomes, queues and quotas, as JSON."""

from __future__ import annotations

import json
from asyncio import to_thread
from dataclasses import asdict
from http.client import responses
from typing import Any, ClassVar, Final

from flower.api.tasks import BaseTaskHandler
from flower.views.monitor import Healthcheck
from tornado.web import HTTPError, stream_request_body

from menos_bus.bus import Bus
from menos_bus.doors.credentials import REALM
from menos_bus.doors.idempotency import KEY_HEADER, take_key
from menos_bus.doors.refusals import INTERNAL, RETRY_AFTER, TOO_LARGE, Refusal, refusal_of
from menos_bus.doors.turns import Turns
from menos_bus.doors.waiting import LONGEST_WAIT, seconds_of, wait
from menos_bus.errors import BusError, FieldProblem, InvalidCall
from menos_bus.messages.depths import queue_depths
from menos_bus.outcomes.outcome import Outcome
from menos_bus.plugins.hookspecs import Check
from menos_bus.tasks.envelope import Envelope, read_object
from menos_bus.tasks.register import restart_for


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


class RefusedHandler(_Handler):
    """Ends a request with the answer that the dispatch has found."""

    def initialize(self, refusal: Refusal) -> None:
        """Tornado's: what the dispatch hands over."""
        self._refusal = refusal

    def prepare(self) -> None:
        self.refuse(self._refusal)


@stream_request_body
class TooLargeHandler(_Handler):
    """Throws the body away as it comes: who sends one reads no answer before its end."""

    def prepare(self) -> None:
        self.request.connection.set_max_body_size(declared_size(self.request))

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
        take_key(self.request.headers.get(KEY_HEADER), envelope.kwargs)
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
    """``GET /api/queues/length``: also those of the broker in memory, and without a worker."""

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


HANDLERS: Final = [
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


def declared_size(request: Any) -> int:
    """The bytes of a body by its header; 0 where it does not say."""
    declared = request.headers.get("Content-Length", "")
    return int(declared) if declared.isdecimal() else 0


def _take_timeout(body: bytes) -> tuple[Envelope, float | None]:
    fields = read_object(body)
    timeout = fields.pop("timeout", None)
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float))):
        raise InvalidCall([FieldProblem("timeout", "must be a number of seconds")])
    return Envelope.of(fields), timeout
