"""The Flower door: Flower with our application, our checks and our answers.

Flower itself hands any option of the body to Celery, lets wrong arguments through, calls an id
that never existed PENDING, and gives everybody with the password everything. The handlers of
:mod:`menos_bus.doors.flower_handlers` replace its task endpoints; everything else of Flower is as
it is, for the operator alone.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from flower.app import Flower
from flower.options import default_options
from flower.urls import settings as flower_settings
from flower.views.error import NotFoundErrorHandler
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import RequestHandler

from menos_bus.bus import Bus
from menos_bus.doors.credentials import FORBIDDEN, UNAUTHORIZED, Logins, Role
from menos_bus.doors.flower_handlers import (
    HANDLERS,
    RefusedHandler,
    TooLargeHandler,
    declared_size,
)
from menos_bus.doors.refusals import MAX_BODY, TOO_LARGE, Refusal, no_such_path, wrong_method
from menos_bus.doors.serving import CannotListen
from menos_bus.doors.turns import Turns

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
        if not self.started:
            return  # the loop may be in use for hanging up
        # What it has asked the workers a moment ago is not answered any more, which is no error.
        logging.getLogger("flower.inspector").disabled = True
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
            target_class, args, kwargs = TooLargeHandler, (), {}
        elif refusal is not None:
            target_class, args, kwargs = RefusedHandler, ({"refusal": refusal},), {}
        elif role is Role.OPERATOR:
            # Flower's own handlers look once more, and know this one form only.
            request.headers["Authorization"] = self.logins.operator.basic
        return super().get_handler_delegate(request, target_class, *args, **kwargs)


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
    flower.add_handlers(r".*", HANDLERS)
    return flower


def _checked(role: Role | None, handler: type, request: Any) -> Refusal | None:
    """What is wrong with a request before its handler is asked, if anything is."""
    if role is None:
        return Refusal(401, code="unauthorized", message=UNAUTHORIZED)
    if issubclass(handler, NotFoundErrorHandler):
        return no_such_path(request.path, _SUBMIT, _DOCS)
    if role is not Role.OPERATOR and not getattr(handler, "for_callers", False):
        return Refusal(403, code="forbidden", message=FORBIDDEN)
    if declared_size(request) > MAX_BODY:
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
