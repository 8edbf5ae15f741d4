"""The source yt-dlp: the real one, asking the local server in YouTube's place."""

from __future__ import annotations

import gzip
import json
import socket
import sys
from typing import Any

import pytest

from menos_bus import TaskError
from menos_bus.testing import TestBus
from menos_vault import Vault
from menos_youtube import Wanted
from menos_youtube.settings import YoutubeSettings
from menos_youtube.sources.yt_dlp import YtDlp

TASK = "tasks.ingest_youtube"
VIDEO = "GJLlxj_dtq8"
PLAYER = "/youtubei/v1/player"
JSON3 = {
    "events": [
        {"tStartMs": 0, "dDurationMs": 9000, "wWinId": 1},
        {"tStartMs": 0, "dDurationMs": 2500, "segs": [{"utf8": "Hello"}, {"utf8": " world"}]},
        {"tStartMs": 1990, "dDurationMs": 500, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 2000, "dDurationMs": 2500, "segs": [{"utf8": "again"}]},
    ]
}


@pytest.fixture(autouse=True)
def only_yt_dlp(youtube: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yt_dlp", reason="needs yt-dlp: pip install 'menos-youtube[yt-dlp]'")
    monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", "yt-dlp")


@pytest.fixture
def showing(youtube: Any, answers: Any) -> Any:
    """A server that has one video with generated English captions."""
    youtube.answer("/watch", answers.WATCH_PAGE)
    youtube.answer(PLAYER, _player(answers, "asr:en"))
    youtube.answer("/api/timedtext", JSON3)
    return youtube


def test_a_recorded_video_is_ingested_by_the_real_yt_dlp(
    bus: TestBus, youtube: Any, vault: Vault, recorded: Any
) -> None:
    page = recorded("transcript-api/youtube.html.static.gz")
    player = recorded("transcript-api/youtube.innertube.json.static")
    captions = recorded("captions/manual.json3.json")
    youtube.answer("/watch", page)
    youtube.answer(PLAYER, player)
    youtube.answer("/api/timedtext", captions)

    result = bus.call(TASK, VIDEO)

    content = vault.records.get_content(result["content_id"])
    assert youtube.paths == ["/watch", PLAYER, "/api/timedtext"]
    asked = youtube.asked[-1].query
    assert (asked["lang"], asked["fmt"]) == ("en", "json3")
    assert (content.title, content.language) == ("Surface Go Review - It’s Awesome", "en")
    assert content.metadata["transcript_source"] == "captions"
    assert vault.objects.get(content.objects["metadata"]) == player
    assert vault.objects.get(content.objects["transcript"]) == captions
    archived = vault.objects.get(f"youtube/{VIDEO}/yt-dlp-watch.html.gz")
    assert gzip.decompress(archived) == page
    segments = json.loads(vault.objects.get(content.objects["segments"]))
    assert (len(segments), segments[-1][1]) == (151, 620.65)


def test_generated_captions_are_said_once_and_lost_text_comes_from_the_archive(
    bus: TestBus, showing: Any, vault: Vault
) -> None:
    result = bus.call(TASK, VIDEO)
    content = vault.records.get_content(result["content_id"])
    assert content.metadata["transcript_source"] == "generated captions"
    assert vault.objects.get(content.objects["text"]) == b"Hello world\nagain"
    assert json.loads(vault.objects.get(content.objects["segments"])) == [[0, 0, 2], [12, 2, 2.5]]

    vault.objects.delete(content.objects["text"])
    showing.asked.clear()
    bus.call(TASK, VIDEO)

    assert vault.objects.get(content.objects["text"]) == b"Hello world\nagain"
    assert showing.asked == []


def test_written_captions_come_first_and_translations_by_machine_never(
    bus: TestBus, showing: Any, vault: Vault, answers: Any
) -> None:
    player = _player(answers, "asr:ja", "de", "ja")
    renderer = player["captions"]["playerCaptionsTracklistRenderer"]
    for track in renderer["captionTracks"]:
        track["isTranslatable"] = True
    renderer["translationLanguages"] = [
        {"languageCode": code, "languageName": {"simpleText": code}} for code in ("en", "ja")
    ]
    showing.answer(PLAYER, player)

    result = bus.call(TASK, VIDEO, language="en")

    assert showing.asked[-1].query["lang"] == "ja"
    assert "tlang" not in showing.asked[-1].query
    content = vault.records.get_content(result["content_id"])
    assert (content.language, content.metadata["transcript_source"]) == ("ja", "captions")


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        ("OK", None, "transcripts_disabled"),
        ("LOGIN_REQUIRED", "This video is private", "video_private"),
        ("LOGIN_REQUIRED", "Sign in to confirm your age", "age_restricted"),
        ("LOGIN_REQUIRED", "Sign in to confirm you’re not a bot", "blocked"),
        ("UNPLAYABLE", "Join this channel to get access", "members_only"),
        ("LIVE_STREAM_OFFLINE", "Premieres in 3 hours", "live_now"),
    ],
)
def test_what_the_player_says_decides(
    showing: Any, answers: Any, status: str, reason: str | None, code: str
) -> None:
    playability = {"status": status, "reason": reason}
    showing.answer(PLAYER, _player(answers, playabilityStatus=playability))

    error = _error()

    assert (error.code, error.retryable) == (code, code == "blocked")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (PLAYER, "too many", 429, "blocked"),
        (PLAYER, "sorry", 503, "youtube_error"),
        (PLAYER, "<html>", 200, "youtube_error"),
        ("/api/timedtext", "too many", 429, "blocked"),
        ("/api/timedtext", "", 200, "youtube_error"),
        ("/api/timedtext", "<html>", 200, "youtube_error"),
    ],
)
def test_an_answer_that_nobody_expects_may_pass(
    showing: Any, path: str, body: str, status: int, code: str
) -> None:
    showing.answer(path, body, status=status)

    error = _error()

    assert (error.code, error.retryable) == (code, True)
    assert len(error.message) < 500


def test_answers_that_cannot_be_read_are_archived(showing: Any) -> None:
    names = {"captions.json3": "/api/timedtext", "player.json": PLAYER}
    for name, path in names.items():
        showing.answer(path, f"<html>no {name}")
        archived: dict[str, bytes] = {}

        _error(archived)

        assert archived[f"yt-dlp-{name}"].decode() == f"<html>no {name}"


def test_no_connection_is_a_network_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("MENOS_YOUTUBE_SITE_URL", f"http://127.0.0.1:{port}")

    assert _error().code == "network"


def test_all_requests_go_through_the_proxy_that_is_set(
    bus: TestBus, showing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_SITE_URL", "http://youtube.invalid")
    monkeypatch.setenv("MENOS_YOUTUBE_PROXY", showing.url)

    assert bus.call(TASK, VIDEO)["title"] == "A video"

    assert showing.paths == ["/watch", PLAYER, "/api/timedtext"]
    assert {asked.headers["Host"] for asked in showing.asked} == {"youtube.invalid"}


def test_it_helps_where_the_first_source_is_refused(
    bus: TestBus, showing: Any, monkeypatch: pytest.MonkeyPatch, recorded: Any, answers: Any
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", "youtube-transcript-api,yt-dlp")
    blocked = recorded("transcript-api/youtube_request_blocked.innertube.json.static")
    showing.answer(PLAYER, blocked, json.dumps(_player(answers, "en")))

    assert bus.call(TASK, VIDEO)["title"] == "A video"


def test_without_it_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)  # what an import of nothing ends with
    monkeypatch.delitem(sys.modules, "menos_youtube.yt_dlp_session", raising=False)

    error = _error()

    assert (error.code, error.retryable) == ("source_unavailable", False)
    assert "pip install 'menos-youtube[yt-dlp]'" in error.message


def _player(answers: Any, *tracks: str, **changes: Any) -> dict[str, Any]:
    player: dict[str, Any] = answers.player(*tracks, **changes)
    player["videoDetails"]["videoId"] = VIDEO
    for track in player["captions"]["playerCaptionsTracklistRenderer"]["captionTracks"]:
        generated = "a" if track.get("kind") == "asr" else ""
        track["vssId"] = f"{generated}.{track['languageCode']}"
        track["baseUrl"] = track["baseUrl"].replace("asr:", "")
    return player


def _error(archived: dict[str, bytes] | None = None) -> TaskError:
    """How the source alone ends; ``archived`` takes the raw answers."""
    kept = {} if archived is None else archived

    def store(name: str, raw: bytes) -> str:
        kept[name] = raw
        return name

    with pytest.raises(TaskError) as caught:
        YtDlp().fetch(Wanted(VIDEO, ["en"], YoutubeSettings(), store))
    return caught.value
