"""What kept a request from its answer, in words that say what to do."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from menos_youtube.settings import YoutubeSettings

_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})
_REFUSAL: Final = re.compile(r"(?:Tunnel connection failed: |^)([45]\d\d\b[^'\")]*)")
"""What a proxy answers that does not let a request through, as urllib3 and httpx tell it."""


class Route(NamedTuple):
    """Which way a request goes."""

    host: str
    """Who is asked, with the port if the URL has one."""
    proxy: str = ""
    """``host:port`` of the proxy that it is sent to, if one is used."""
    setting: str = ""
    """The variable that names the proxy."""


ANY: Final = Route("YouTube")
"""The route of a request of which no more is known."""


def route_of(url: str, settings: YoutubeSettings) -> Route:
    """The way that a request to this URL goes: by the settings' proxy, or the environment's."""
    parts = urlsplit(url)
    host = _place(url)
    if settings.proxy is not None:
        return Route(host, _place(settings.proxy.get_secret_value()), "MENOS_YOUTUBE_PROXY")
    proxies = getproxies()
    key = parts.scheme if parts.scheme in proxies else "all"
    if key not in proxies or proxy_bypass(parts.hostname or ""):
        return Route(host)
    return Route(host, _place(proxies[key]), f"{key.upper()}_PROXY")


def explain(error: BaseException, route: Route) -> str:
    """Say who could not be reached, what happened, and what to do.

    Args:
        error: of requests, httpx or yt-dlp, with what led to it.
        route: the way that the request went.
    """
    chain = list(_chain(error))
    names = {cls.__name__ for each in chain for cls in type(each).__mro__}
    host = route.host
    if "ProxyError" in names and (refusal := _refusal(chain)):
        return (
            f"the proxy {route.proxy} lets no request to {host} through ({refusal}): check "
            f"{route.setting or 'its setting'}, and what the proxy allows"
        )
    if tls := next((each for each in chain if isinstance(each, ssl.SSLError)), None):
        why = getattr(tls, "verify_message", "") or tls.reason or type(tls).__name__
        return (
            f"no secure connection to {host} ({why}): check this machine's clock; if a proxy has "
            "certificates of its own, name its file in SSL_CERT_FILE and REQUESTS_CA_BUNDLE"
        )
    if "ReadTimeout" in names or "ReadTimeoutError" in names:
        return f"{host} did not answer in time: it is slow, or MENOS_YOUTUBE_TIMEOUT too short"
    # What follows happens on the way to the first stop, which may be a proxy.
    stop = f"the proxy {route.proxy}" if route.proxy else host
    check = f"check {route.setting}" if route.proxy else "check this machine's network"
    if any(isinstance(each, socket.gaierror) for each in chain):
        return f"the name of {stop} was not found: {check}, and its DNS"
    if any(isinstance(each, ConnectionRefusedError) for each in chain):
        return f"{stop} refused the connection: {check}, and its firewall"
    if any(isinstance(each, OSError) and each.errno in _UNREACHABLE for each in chain):
        return f"there is no way to {stop}: {check}"
    if any(isinstance(each, TimeoutError) or "Timeout" in type(each).__name__ for each in chain):
        return f"{stop} did not answer in time: {check}, or raise MENOS_YOUTUBE_TIMEOUT"
    if names & {"ConnectionError", "ProtocolError", "IncompleteRead", "ReadError"}:
        return f"the connection to {stop} broke off: {check}, or try again later"
    return f"no answer from {stop} ({type(error).__name__}): {check}"


def _place(url: str) -> str:
    """Host and port of a URL, without user and password."""
    return urlsplit(url if "//" in url else f"//{url}").netloc.rpartition("@")[2]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it, wherever its library keeps that."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        kept = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        waiting += [found for found in kept if isinstance(found, BaseException)]


def _refusal(chain: list[BaseException]) -> str:
    found = (_REFUSAL.search(str(each)) for each in chain)
    return next((match[1].strip() for match in found if match), "")
