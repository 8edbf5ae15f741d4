"""What is said when a request gets no answer."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator

import httpx
import pytest
import requests

from menos_bus import Retryable
from menos_youtube.data_api import client
from menos_youtube.errors import from_library
from menos_youtube.network import route_of
from menos_youtube.settings import YoutubeSettings

REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"


class Peer:
    """Takes connections on a port of this machine, and answers each in the same way, or never."""

    def __init__(self, answer: bytes | None) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self.place = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        kept = []
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if self._answer is None:
                kept.append(connection)
                continue
            connection.recv(4096)
            connection.sendall(self._answer)
            connection.close()


@pytest.fixture
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    found = Peer(request.param)
    yield found
    found.close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("library", ["requests", "httpx"])
@pytest.mark.parametrize(
    ("peer", "url", "proxy", "said"),
    [
        (None, "http://{peer}/", None, "{peer} did not answer in time: "),
        (b"", "http://{peer}/", None, "the connection to {peer} broke off: "),
        (b"what?", "https://{peer}/", None, "no secure connection to {peer} ("),
        (
            REFUSED,
            "https://www.youtube.com/watch",
            "http://user:password@{peer}",
            "the proxy {peer} lets no request to www.youtube.com through (407 Proxy "
            "Authentication Required): check MENOS_YOUTUBE_PROXY",
        ),
    ],
    indirect=["peer"],
)
def test_it_is_said_who_did_not_answer_and_what_to_do(
    peer: Peer, library: str, url: str, proxy: str | None, said: str
) -> None:
    url, proxy = url.format(peer=peer.place), proxy and proxy.format(peer=peer.place)

    message = message_of(library, url, proxy)

    assert message.startswith(said.format(peer=peer.place))
    assert "password" not in message


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_who_refuses_the_connection_is_named(library: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        place = f"127.0.0.1:{unused.getsockname()[1]}"

    assert message_of(library, f"http://{place}/").startswith(f"{place} refused the connection: ")
    by_proxy = message_of(library, "https://www.youtube.com/", f"http://{place}")
    assert by_proxy.startswith(f"the proxy {place} refused the connection: check MENOS_YOUTUBE_")


def test_a_name_that_is_not_found_is_named() -> None:
    error = httpx.ConnectError("[Errno -2] Name or service not known")
    error.__cause__ = socket.gaierror(-2, "Name or service not known")

    assert told(error, "https://www.youtube.com/watch").startswith(
        "the name of www.youtube.com was not found: check this machine's network"
    )


def test_a_proxy_of_the_environment_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:password@proxy.example:3128")

    route = route_of("https://www.youtube.com/watch", YoutubeSettings())

    assert route == ("www.youtube.com", "proxy.example:3128", "HTTPS_PROXY")
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv("ALL_PROXY", "http://other.example:8080")
    route = route_of("https://www.youtube.com/watch", YoutubeSettings())
    assert route == ("www.youtube.com", "other.example:8080", "ALL_PROXY")
    monkeypatch.setenv("NO_PROXY", "youtube.com")
    assert route_of("https://www.youtube.com/", YoutubeSettings()) == ("www.youtube.com", "", "")


def message_of(library: str, url: str, proxy: str | None = None) -> str:
    with pytest.raises((requests.RequestException, httpx.HTTPError)) as caught:
        ask(library, url, proxy)
    return told(caught.value, url, proxy)


def ask(library: str, url: str, proxy: str | None) -> None:
    if library == "requests":
        requests.get(url, timeout=0.2, proxies={"http": proxy, "https": proxy} if proxy else {})
    else:
        with httpx.Client(timeout=0.2, proxy=proxy) as client:
            client.get(url)


def told(error: Exception, url: str, proxy: str | None = None) -> str:
    found = from_library(error, route=route_of(url, YoutubeSettings(proxy=proxy)))
    assert isinstance(found, Retryable)
    assert found.code == "network"
    return found.message


def test_the_certificates_are_read_for_the_first_client_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client(YoutubeSettings()).close()
    monkeypatch.delattr(ssl, "create_default_context")

    client(YoutubeSettings()).close()
