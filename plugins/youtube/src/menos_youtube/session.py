"""The requests session that youtube-transcript-api is given, which sets no timeouts of its own."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from menos_youtube.settings import YOUTUBE, YoutubeSettings

PLAYER: Final = "/youtubei/v1/player"
CAPTIONS: Final = "/api/timedtext"


class SiteAdapter(HTTPAdapter):
    """Sends requests for YouTube to ``site_url``, with a timeout, and keeps the raw answers.

    Attributes:
        answers: path → body of the last good answer, of :data:`PLAYER` and :data:`CAPTIONS`.
    """

    def __init__(self, settings: YoutubeSettings) -> None:
        """Take site, timeout and proxy from the settings."""
        super().__init__()
        self._site = settings.site_url
        self._timeout = settings.timeout
        self._proxy = settings.proxy.get_secret_value() if settings.proxy else None
        self.answers: dict[str, bytes] = {}

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
        # requests chose proxies for the host that was asked for, and prefers the environment's to
        # a session's own.
        if self._proxy is not None:
            proxies = {"http": self._proxy, "https": self._proxy}
        elif sent is not request:
            proxies = get_environ_proxies(sent.url or "")
        response = super().send(sent, stream, timeout or self._timeout, verify, cert, proxies)
        response.request = request
        path = urlsplit(asked).path
        if path in (PLAYER, CAPTIONS) and response.ok:
            self.answers[path] = response.content
        return response


def open_session(settings: YoutubeSettings) -> tuple[requests.Session, SiteAdapter]:
    """Make a session for one transcript, and the adapter that carries all its requests.

    Neither is thread-safe.
    """
    session = requests.Session()
    adapter = SiteAdapter(settings)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session, adapter
