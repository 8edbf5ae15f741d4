"""Where doors listen; and serving the HTTP API with uvicorn, on a socket that is bound before
anything is promised.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from importlib.util import find_spec
from typing import Final

from menos_bus.bus import Bus
from menos_bus.doors.credentials import Logins
from menos_bus.errors import SettingsError

INSTALL: Final = "pip install 'menos-bus[http]'"
_GRACE: Final = 5
"""Seconds that open requests, such as those that wait for a result, get when it is stopped."""


def installed() -> bool:
    """Whether this installation can serve the HTTP API."""
    return all(find_spec(name) is not None for name in ("fastapi", "uvicorn"))


class CannotListen(SettingsError):
    """An address that a door was to listen on cannot be had."""

    def __init__(self, host: str, port: int, setting: str, error: OSError) -> None:
        # `create_server` puts the address into its text once more; an unknown host has no number.
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else error.strerror or error
        fix = f"set {setting} to another port, or to 0 for a free one"
        if isinstance(error, socket.gaierror) or number == errno.EADDRNOTAVAIL:
            fix = f"set {setting.replace('_PORT', '_HOST')} to an address of this machine"
        super().__init__(f"cannot listen on {host}:{port} ({why}): {fix}")


def url_of(host: str, port: int) -> str:
    """Where a door is that listens there; an IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class ApiServer:
    """The HTTP API of a bus, listening at its address.

    Raises:
        SettingsError: FastAPI is not installed.
        CannotListen: the address cannot be had.
    """

    def __init__(self, bus: Bus, logins: Logins) -> None:
        if not installed():
            raise SettingsError(f"the HTTP API is not installed: {INSTALL}")
        import uvicorn

        from menos_bus.doors.http import make_api

        self._socket = _listen(bus.settings.api_host, bus.settings.api_port)
        self.url = url_of(bus.settings.api_host, self._socket.getsockname()[1])
        self._server = uvicorn.Server(
            uvicorn.Config(
                make_api(bus, logins),
                loop="asyncio",
                ws="none",
                lifespan="off",
                # Its messages go where all others go.
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE,
            )
        )
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Serve in this thread, the main one, until SIGINT or SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            # uvicorn has handlers of its own meanwhile, and then repeats the signal for these.
            signal.signal(number, self._end)
        self._serve()

    def start(self) -> None:
        """Serve in a thread of its own until :meth:`stop`."""
        self._thread = threading.Thread(target=self._serve, name="http-api", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, and let open ones end."""
        self._end()
        if self._thread is not None:
            self._thread.join(_GRACE + 1)
        self.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def _end(self, *_: object) -> None:
        self._server.should_exit = True

    def close(self) -> None:
        """Give the address back."""
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise CannotListen(host, port, "MENOS_API_PORT", error) from error
