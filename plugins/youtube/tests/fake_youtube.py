"""YouTube as a local server: its site and its Data API, with answers that a test sets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """A request that the server got."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class FakeYouTube:
    """Answers by path; what has no answer is a 404. Several answers are given in turn."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[str, list[Answer]] = {}
        self._functions: dict[str, Callable[[Asked], Answer]] = {}
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = Asked(self.command, parts.path, query, dict(self.headers), body)
                owner.asked.append(asked)
                answer = owner._find(asked)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def answer(
        self, path: str, *bodies: bytes | str | dict[str, Any], status: int = 200, **headers: str
    ) -> None:
        """Give these answers, one after the other; the last one again and again."""
        self._answers[path] = [
            Answer(
                body if isinstance(body, bytes) else _text(body).encode(),
                status,
                {name.replace("_", "-"): value for name, value in headers.items()},
            )
            for body in bodies
        ]

    def serve(self, path: str, function: Callable[[Asked], Answer | dict[str, Any]]) -> None:
        """Let a function answer."""

        def answer(asked: Asked) -> Answer:
            found = function(asked)
            return found if isinstance(found, Answer) else Answer(_text(found).encode())

        self._functions[path] = answer

    def forget(self, path: str) -> None:
        """Answer no more by a function."""
        del self._functions[path]

    def _find(self, asked: Asked) -> Answer:
        if asked.path in self._functions:
            return self._functions[asked.path](asked)
        answers = self._answers.get(asked.path) or [Answer(b"no such page", 404)]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _text(body: str | dict[str, Any]) -> str:
    return body if isinstance(body, str) else json.dumps(body)


WATCH_PAGE = '<html><script>{"INNERTUBE_API_KEY":"test_key"}</script></html>'
CAPTIONS = """<?xml version="1.0" encoding="utf-8" ?><transcript>
<text start="0" dur="2.5">Hello &amp;amp; welcome</text>
<text start="2" dur="3">to the
second line</text>
<text start="4.5" dur="1"></text>
<text start="5" dur="2.25">&lt;i&gt;the end&lt;/i&gt;</text>
</transcript>"""


def player(*tracks: str, title: str | None = "A video", **changes: Any) -> dict[str, Any]:
    """A player's answer. Tracks are language codes, with "asr:" before generated ones."""
    caption_tracks = [
        {
            "baseUrl": f"https://www.youtube.com/api/timedtext?v=x&lang={track}",
            "name": {"runs": [{"text": track}]},
            "languageCode": track.removeprefix("asr:"),
            **({"kind": "asr"} if track.startswith("asr:") else {}),
        }
        for track in tracks
    ]
    return {
        "playabilityStatus": {"status": "OK"},
        "captions": {"playerCaptionsTracklistRenderer": {"captionTracks": caption_tracks}},
        "videoDetails": {"title": title, "author": "A channel", "lengthSeconds": "61"},
        **changes,
    }


class FakeChannel:
    """A channel ``UC…`` whose videos ``v0000000000``, … are listed newest first, one a day."""

    ID = "UC" + "c" * 22
    UPLOADS = "UU" + "c" * 22

    def __init__(self, youtube: FakeYouTube, videos: int) -> None:
        self.youtube = youtube
        self.ids = [f"v{number:010}" for number in range(videos)]
        self.private: set[str] = set()
        self.title = "Title"
        youtube.serve("/v3/channels", self._channels)
        youtube.serve("/v3/playlistItems", self._page)
        youtube.serve("/v3/videos", self._videos)
        youtube.answer("/watch", WATCH_PAGE)
        youtube.answer("/youtubei/v1/player", player("en"))
        youtube.answer("/api/timedtext", CAPTIONS)

    def published(self, video_id: str) -> str:
        """Noon, so many days before 1 June 2026."""
        moment = datetime(2026, 6, 1, 12, tzinfo=UTC) - timedelta(days=int(video_id[1:]))
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def requests(self, path: str) -> list[Asked]:
        return [asked for asked in self.youtube.asked if asked.path == path]

    @property
    def units(self) -> int:
        """What YouTube has counted: each request to the Data API costs 1."""
        return sum(asked.path.startswith("/v3/") for asked in self.youtube.asked)

    def _channels(self, asked: Asked) -> dict[str, Any]:
        names = {"id": self.ID, "forHandle": "@Somebody", "forUsername": "somebody"}
        if not any(asked.query.get(by, "").lower() == name.lower() for by, name in names.items()):
            return {"kind": "youtube#channelListResponse"}
        related = {"likes": "", "uploads": self.UPLOADS}
        snippet = {"title": "Some body", "customUrl": "@somebody"}
        details = {"relatedPlaylists": related}
        return {"items": [{"id": self.ID, "snippet": snippet, "contentDetails": details}]}

    def _page(self, asked: Asked) -> Answer | dict[str, Any]:
        token, size = asked.query.get("pageToken", "0"), int(asked.query["maxResults"])
        start = int(token) if token.isdecimal() else 0
        more = {"nextPageToken": str(start + size)} if start + size < len(self.ids) else {}
        items = [self._item(each) for each in self.ids[start : start + size]]
        return {"items": items, "pageInfo": {"totalResults": len(self.ids)}, **more}

    def _item(self, video_id: str) -> dict[str, Any]:
        public = video_id not in self.private
        title = f"{self.title} {video_id}" if public else "Private video"
        details = {"videoPublishedAt": self.published(video_id)} if public else {}
        snippet = {"title": title, "resourceId": {"videoId": video_id}}
        return {"snippet": snippet, "contentDetails": details}

    def _videos(self, asked: Asked) -> dict[str, Any]:
        ids = asked.query["id"].split(",")
        assert len(ids) <= 50
        author = {"channelTitle": "Some body"}
        known = [each for each in ids if each in self.ids and each not in self.private]
        return {
            "items": [
                {
                    "id": each,
                    "snippet": {**author, "title": f"{self.title} {each}"},
                }
                for each in known
            ]
        }
