"""yt-dlp as a library: for captions only, with our site, timeout, proxy and archive."""

from __future__ import annotations

import gzip
import io
import logging
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from yt_dlp import YoutubeDL
from yt_dlp.networking.common import Request, Response
from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.utils import YoutubeDLError

from menos_bus.errors import TaskError
from menos_vault import VaultError
from menos_youtube import archive
from menos_youtube.errors import from_library, from_status
from menos_youtube.network import route_of
from menos_youtube.playability import refusal
from menos_youtube.session import PLAYER, WATCH
from menos_youtube.settings import YOUTUBE, YoutubeSettings
from menos_youtube.video_id import watch_url

_log = logging.getLogger(__name__).debug
_OPTIONS: Final[dict[str, Any]] = {
    "cachedir": False,
    "color": "no_color",
    # It warns of what downloads would lack; what matters here is raised.
    "logger": SimpleNamespace(debug=_log, warning=_log, error=_log),
    "noplaylist": True,
    "quiet": True,
    # The bus tries again by itself.
    "extractor_retries": 0,
    # What is asked for is captions: a video without a playable format may have some.
    "ignore_no_formats_error": True,
    "extractor_args": {
        "youtube": {
            "player_skip": ["configs", "js", "initial_data"],
            "skip": ["hls", "dash", "translated_subs"],
        }
    },
}


class YtDlpSession(YoutubeDL):  # type: ignore[misc]  # yt-dlp ships no types
    """One look for one video's captions. Not thread-safe."""

    def __init__(self, settings: YoutubeSettings, store: Callable[[str, bytes], str]) -> None:
        """Take site, timeout and proxy from the settings; ``store`` takes an answer and a name."""
        self._settings = settings
        self._site = settings.site_url
        self._store = store
        self._players: list[bytes] = []
        self._failure: TaskError | None = None
        options = {**_OPTIONS, "socket_timeout": settings.timeout}
        if settings.proxy is not None:
            options["proxy"] = settings.proxy.get_secret_value()
        super().__init__(options)

    def extract(self, video_id: str) -> dict[str, Any]:
        """Ask about a video.

        Returns:
            What yt-dlp knows of it; without captions if there are none.

        Raises:
            TaskError: it cannot be asked, or YouTube says why there are no captions.
        """
        try:
            info = self.extract_info(watch_url(video_id), download=False, process=False) or {}
        except VaultError:
            raise  # of the archive
        except Exception as error:
            # Besides its own errors yt-dlp lets out what happens to code that expected other data.
            raise self._reason() or from_library(error) from error
        captions = info.get("subtitles") or info.get("automatic_captions")
        if not captions and (reason := self._reason()) is not None:
            raise reason
        return info

    def fetch_captions(self, url: str) -> tuple[bytes, str]:
        """Fetch a caption file; returns it and its object key.

        Raises:
            Retryable: ``blocked``, ``network``, ``youtube_error``.
        """
        try:
            raw = self.urlopen(url).read()
        except YoutubeDLError as error:
            raise self._failure or from_library(error) from error
        return raw, self._store(archive.YT_DLP_CAPTIONS, raw)

    def urlopen(self, req: Request | str) -> Response:
        """Send one of yt-dlp's requests to ``site_url``, and archive the answer."""
        request = Request(req) if isinstance(req, str) else req
        asked = request.url
        if asked.startswith(f"{YOUTUBE}/"):
            request = request.copy()
            request.url = self._site + asked.removeprefix(YOUTUBE)
        try:
            response = super().urlopen(request)
            raw = response.read()
        except HTTPError as error:
            self._failure = from_status(error.status, error.response.headers.get("Retry-After"))
            raise
        except RequestError as error:
            self._failure = from_library(error, route=route_of(request.url, self._settings))
            raise
        self._keep(urlsplit(asked).path, raw)
        return Response(io.BytesIO(raw), asked, response.headers, response.status)

    def _reason(self) -> TaskError | None:
        """Why there are no captions, as far as YouTube's answers tell."""
        refusals = [refused for raw in self._players if (refused := refusal(raw))]
        if self._players:
            return refusals[0] if len(refusals) == len(self._players) else None
        return self._failure

    def _keep(self, path: str, raw: bytes) -> None:
        if path == WATCH:
            self._store(archive.YT_DLP_WATCH, gzip.compress(raw, mtime=0))
        elif path == PLAYER:
            self._players.append(raw)
            self._store(archive.YT_DLP_PLAYER, raw)

    def __enter__(self) -> Self:
        """Return the session itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let connections go; nothing is written to the disk."""
        self.close()
