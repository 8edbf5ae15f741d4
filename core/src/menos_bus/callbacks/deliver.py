"""One try to deliver a callback: a POST that ends in time, whatever the receiver does."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Final

import httpcore
from httpcore import SOCKET_OPTION

from menos_bus.callbacks.guard import Forbidden, Guard, Target
from menos_bus.version import VERSION

LONGEST_TEXT: Final = 16 * 1024
"""Bytes of an answer's body that are read."""
_LONGEST_REASON: Final = 200


class DeliveryFailed(Exception):
    """There was no answer. The message says why, in a few words."""


@dataclass(frozen=True)
class Answer:
    """What the receiver said.

    Attributes:
        status: the HTTP status.
        text: the beginning of the body.
        retry_after: seconds that the receiver wants to be left alone, if it says so.
    """

    status: int
    text: str
    retry_after: float | None


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    guard: Guard,
    seconds: float,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Send a JSON body. Redirects are not followed, proxies of the environment not used.

    The status decides: when the connection is lost or the time is up within the body, the answer
    has the part of the text that came.

    Args:
        url: where to.
        body: the exact bytes.
        headers: more headers, such as the signature.
        guard: where it may go.
        seconds: for everything together, from the look-up of the name to the answer's last byte.
        tls: whom to trust; by default the public certificate authorities.

    Raises:
        DeliveryFailed: no answer; says why.
        ValueError: a header's value is not ASCII.
    """
    clock = _Clock(seconds)
    try:
        target = Target.of(url)
    except Forbidden as error:
        raise DeliveryFailed(f"not allowed: {error}") from error
    sent = {
        "host": target.authority,
        "accept-encoding": "identity",
        "connection": "close",
        "content-type": "application/json",
        "user-agent": f"menos-bus/{VERSION}",
        **{name.lower(): value for name, value in headers.items()},
    }
    place = httpcore.URL(
        scheme=target.scheme, host=target.host, port=target.port, target=target.path
    )
    with httpcore.ConnectionPool(
        ssl_context=tls or _public_authorities(), network_backend=_Backend(guard, clock)
    ) as pool:
        try:
            with pool.stream("POST", place, headers=list(sent.items()), content=body) as response:
                return _answer(response)
        except (httpcore.ProtocolError, httpcore.NetworkError) as error:
            # Cut, since it may quote what the receiver sent.
            raise DeliveryFailed(f"no valid HTTP: {error}"[:_LONGEST_REASON]) from error


def _answer(response: httpcore.Response) -> Answer:
    text = b""
    try:
        for part in response.iter_stream():
            text += part
            if len(text) >= LONGEST_TEXT:
                break
    except (DeliveryFailed, httpcore.ProtocolError):
        pass
    wishes = (value for name, value in response.headers if name.lower() == b"retry-after")
    return Answer(
        response.status,
        text[:LONGEST_TEXT].decode(errors="replace"),
        _retry_after(next(wishes, b"").decode("latin-1")),
    )


def _retry_after(text: str) -> float | None:
    """Seconds from now, of a number of seconds or an HTTP date."""
    if re.fullmatch(r"[0-9]+", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


class _Clock:
    """The time that one try has."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left, more than 0."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.expired()
        return left

    def expired(self) -> DeliveryFailed:
        return DeliveryFailed(f"timed out after {self._seconds:g} s")


class _Backend(httpcore.NetworkBackend):
    """Connects to an address that the guard has checked, and to no other."""

    def __init__(self, guard: Guard, clock: _Clock) -> None:
        self._guard = guard
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._look_up(host, port)
        failures = []
        for place, address in enumerate(addresses):
            # A share of the time each, so that one dead address does not take it all.
            share = self._clock.left() / (len(addresses) - place)
            try:
                sock = socket.create_connection((address, port), share)
            except TimeoutError:
                failures.append(str(self._clock.expired()))
            except OSError as error:
                failures.append(_reason(error))
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return _Stream(sock, self._clock)
        raise DeliveryFailed(", ".join(dict.fromkeys(failures)) or "name does not resolve")

    def _look_up(self, host: str, port: int) -> list[str]:
        # In a thread of its own: nothing ends a look-up before the resolver itself gives up.
        found: Future[list[str]] = Future()

        def look_up() -> None:
            try:
                found.set_result(self._guard.addresses(host, port))
            except BaseException as error:  # noqa: BLE001 - goes to the thread that waits
                found.set_exception(error)

        threading.Thread(target=look_up, name="callback-dns", daemon=True).start()
        try:
            return found.result(self._clock.left())
        except TimeoutError:
            raise self._clock.expired() from None
        except Forbidden as error:
            raise DeliveryFailed(f"not allowed: {error}") from error
        except OSError as error:
            raise DeliveryFailed(f"name does not resolve: {_reason(error)}") from error


class _Stream(httpcore.NetworkStream):
    """A connection of which every step gets only the time that is left for all."""

    def __init__(self, sock: socket.socket, clock: _Clock) -> None:
        self._sock = sock
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._sock.settimeout(self._clock.left())
            return self._sock.recv(max_bytes)
        except TimeoutError:
            raise self._clock.expired() from None
        except OSError as error:
            raise DeliveryFailed(_reason(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        try:
            while rest:
                self._sock.settimeout(self._clock.left())
                rest = rest[self._sock.send(rest) :]
        except TimeoutError:
            raise self._clock.expired() from None
        except OSError as error:
            # The one error after which httpcore still reads: a receiver may answer and hang up
            # before it has read everything.
            raise httpcore.WriteError(_reason(error)) from error

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            self._sock.settimeout(self._clock.left())
            sock = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
        except TimeoutError:
            raise self._clock.expired() from None
        except (OSError, ValueError) as error:
            raise DeliveryFailed(f"TLS: {_reason(error).removeprefix('TLS: ')}") from error
        return _Stream(sock, self._clock)

    def close(self) -> None:
        self._sock.close()


def _reason(error: Exception) -> str:
    """A system's error in a few words, such as "connection refused"."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS: {error.reason.replace('_', ' ').lower()}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


@cache
def _public_authorities() -> ssl.SSLContext:
    # Not before it is needed: with it come its own command and rich.
    import httpx

    return httpx.create_ssl_context(trust_env=False)
