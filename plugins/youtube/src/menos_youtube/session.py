"""The requests session that youtube-transcript-api is given, which sets no timeouts of its own."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from menos_youtube import archive
from menos_youtube.network import ANY, route_of
from menos_youtube.settings import YOUTUBE, YoutubeSettings

WATCH: Final = "/watch"
PLAYER: Final = "/youtubei/v1/player"
CAPTIONS: Final = "/api/timedtext"


class SiteAdapter(HTTPAdapter):
    """Sends requests for YouTube to ``site_url``, with a timeout, and archives the raw answers.

    Attributes:
        player: the player's last good answer.
        captions_key: the object key of the last caption file.
        retry_after: the header of that name in the last answer that was an error.
        route: the way that the last request went.
    """

    def __init__(self, settings: YoutubeSettings, store: Callable[[str, bytes], str]) -> None:
        """Take site, timeout and proxy from the settings; ``store`` takes an answer and a name."""
        super().__init__()
        self._settings = settings
        self._site = settings.site_url
        self._timeout = settings.timeout
        self._proxy = settings.proxy.get_secret_value() if settings.proxy else None
        self._store = store
        self.player: bytes | None = None
        self.captions_key = ""
        self.retry_after: str | None = None
        self.route = ANY

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        """Send one request; redirects come back here."""
        asked = request.url or ""
        sent = request
        if asked.startswith(f"{YOUTUBE}/"):
            sent = request.copy()
            sent.url = self._site + asked.removeprefix(YOUTUBE)
        self.route = route_of(sent.url or "", self._settings)
        # requests chose proxies for the host that was asked for, and prefers the environment's to
        # a session's own.
        if self._proxy is not None:
            proxies = {"http": self._proxy, "https": self._proxy}
        elif sent is not request:
            proxies = get_environ_proxies(sent.url or "")
        response = super().send(sent, stream, timeout or self._timeout, verify, cert, proxies)
        response.request = request
        if response.ok:
            self._keep(urlsplit(asked).path, response)
        else:
            self.retry_after = response.headers.get("Retry-After")
        return response

    def _keep(self, path: str, response: requests.Response) -> None:
        if path == WATCH:
            self._store(archive.WATCH, gzip.compress(response.content, mtime=0))
        elif path == PLAYER:
            self.player = response.content
            self._store(archive.PLAYER, response.content)
        elif path == CAPTIONS:
            self.captions_key = self._store(archive.CAPTIONS, response.content)


def open_session(
    settings: YoutubeSettings, store: Callable[[str, bytes], str]
) -> tuple[requests.Session, SiteAdapter]:
    """Make a session for one transcript, and the adapter that carries all its requests.

    Neither is thread-safe.
    """
    session = requests.Session()
    adapter = SiteAdapter(settings, store)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session, adapter
