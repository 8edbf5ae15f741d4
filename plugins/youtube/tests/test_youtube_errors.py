"""How each failure at YouTube ends the task."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from menos_bus import Permanent, Retryable, TaskFailed
from menos_bus.testing import TestBus
from menos_vault import Vault
from menos_youtube.api_errors import from_data_api
from menos_youtube.errors import from_library

TASK = "tasks.ingest_youtube"
URL = "https://www.youtube.com/watch?v=GJLlxj_dtq8"
ONCE, WITH_RETRIES = 1, 6


@pytest.mark.parametrize(
    ("answer", "code", "tries", "kept"),
    [
        ("youtube_video_unavailable", "video_unavailable", ONCE, 0),
        ("youtube_age_restricted", "age_restricted", ONCE, 1),
        ("youtube_transcripts_disabled", "transcripts_disabled", ONCE, 1),
        ("youtube_request_blocked", "blocked", WITH_RETRIES, 0),
        ("youtube_po_token_required", "youtube_error", WITH_RETRIES, 0),
    ],
)
def test_a_recorded_player_answer_ends_with_its_code(
    bus: TestBus,
    talking: Any,
    vault: Vault,
    recorded: Any,
    answer: str,
    code: str,
    tries: int,
    kept: int,
) -> None:
    talking.answer(
        "/youtubei/v1/player", recorded(f"transcript-api/{answer}.innertube.json.static")
    )

    failure = _failure(bus)

    assert (failure.code, failure.tries) == (code, tries)
    assert vault.records.counts().contents == kept


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("youtube_too_many_requests.html.static", "blocked"),
        ("youtube_consent_page.html.static", "youtube_error"),
        ("youtube_consent_page_invalid.html.static", "youtube_error"),
    ],
)
def test_a_recorded_page_instead_of_the_video_s_ends_with_its_code(
    bus: TestBus, talking: Any, recorded: Any, answer: str, code: str
) -> None:
    talking.answer("/watch", recorded(f"transcript-api/{answer}"))

    failure = _failure(bus)

    assert (failure.code, failure.tries) == (code, WITH_RETRIES)


@pytest.mark.parametrize(
    ("status", "reason", "code", "tries"),
    [
        ("OK", None, "no_transcript", ONCE),
        ("LOGIN_REQUIRED", "Sign in to confirm your age", "age_restricted", ONCE),
        ("LOGIN_REQUIRED", "This is a private video", "video_private", ONCE),
        ("LOGIN_REQUIRED", "Sign in to confirm you’re not a bot", "blocked", WITH_RETRIES),
        ("UNPLAYABLE", "Join this channel to get access", "members_only", ONCE),
        ("UNPLAYABLE", "Not available in your country", "video_unavailable", ONCE),
        ("ERROR", "This video has been removed by the uploader", "video_unavailable", ONCE),
        ("LIVE_STREAM_OFFLINE", "Premieres in 3 hours", "live_now", ONCE),
    ],
)
def test_what_the_player_says_decides(
    bus: TestBus, talking: Any, answers: Any, status: str, reason: str, code: str, tries: int
) -> None:
    playability = {"status": status, "reason": reason}
    talking.answer("/youtubei/v1/player", answers.player(playabilityStatus=playability))

    failure = _failure(bus)

    assert (failure.code, failure.tries) == (code, tries)
    if code == "video_unavailable":
        assert reason in failure.message


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/watch", "<html>something new</html>", 200, "youtube_error"),
        ("/watch", "too many", 429, "blocked"),
        ("/watch", "sorry", 503, "youtube_error"),
        ("/youtubei/v1/player", "<html>", 200, "youtube_error"),
        ("/youtubei/v1/player", "[]", 200, "youtube_error"),
        ("/youtubei/v1/player", "{}", 200, "youtube_error"),
        ("/api/timedtext", "", 200, "youtube_error"),
        ("/api/timedtext", "<transcript><text>no start</text></transcript>", 200, "youtube_error"),
        ("/api/timedtext", "too many", 429, "blocked"),
        ("/api/timedtext", "gone", 404, "youtube_error"),
    ],
)
def test_an_answer_that_nobody_expects_is_tried_again(
    bus: TestBus, talking: Any, path: str, body: str, status: int, code: str
) -> None:
    talking.answer(path, body, status=status)

    failure = _failure(bus)

    assert (failure.code, failure.tries) == (code, WITH_RETRIES)
    assert len(failure.message) < 500


def test_captions_without_text_are_no_transcript(bus: TestBus, talking: Any) -> None:
    talking.answer("/api/timedtext", '<transcript><text start="1"> </text></transcript>')

    assert _failure(bus).code == "no_transcript"


def test_a_retry_after_a_passing_failure_succeeds(bus: TestBus, talking: Any, answers: Any) -> None:
    talking.answer("/api/timedtext", "", answers.CAPTIONS)

    assert bus.call(TASK, URL)["status"] == "success"


@pytest.mark.parametrize("source", ["youtube-transcript-api", "yt-dlp"])
def test_no_connection_is_a_network_error(
    bus: TestBus, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    place = f"127.0.0.1:{_unused_port()}"
    monkeypatch.setenv("MENOS_YOUTUBE_SITE_URL", f"http://{place}")
    monkeypatch.setenv("MENOS_YOUTUBE_SOURCES", source)

    failure = _failure(bus)

    assert (failure.code, failure.tries) == ("network", WITH_RETRIES)
    assert failure.message.startswith(f"{place} refused the connection: ")


def test_a_silent_server_is_a_network_error(bus: TestBus, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:  # accepts, never answers
        monkeypatch.setenv("MENOS_YOUTUBE_SITE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("MENOS_YOUTUBE_TIMEOUT", "0.05")

        assert _failure(bus).code == "network"


@pytest.mark.parametrize(
    ("answer", "status", "code", "tries"),
    [
        ("errors/200_videos_list_unknown_id", 200, "video_unavailable", ONCE),
        ("errors/400_keyInvalid", 400, "api_key_invalid", ONCE),
        ("error_response_badkey", 400, "api_key_invalid", ONCE),
        ("errors/403_accessNotConfigured", 403, "api_key_invalid", ONCE),
        ("errors/403_quotaExceeded", 403, "quota_exceeded", ONCE),
        ("errors/403_rateLimitExceeded", 403, "blocked", WITH_RETRIES),
        ("errors/429_rateLimitExceeded", 429, "blocked", WITH_RETRIES),
        ("errors/500_backendError", 500, "youtube_error", WITH_RETRIES),
        ("error_permission_resp", 403, "api_refused", ONCE),
    ],
)
def test_a_recorded_data_api_error_ends_with_its_code(
    bus: TestBus,
    talking: Any,
    recorded: Any,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    status: int,
    code: str,
    tries: int,
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_API_KEY", "s3cret")
    talking.answer("/v3/videos", recorded(f"data-api-v3/{answer}.json"), status=status)

    failure = _failure(bus)

    assert (failure.code, failure.tries) == (code, tries)
    assert talking.paths == ["/v3/videos"] * tries
    assert "s3cret" not in failure.message
    if code == "api_key_invalid":
        assert "MENOS_YOUTUBE_API_KEY" in failure.message
    if code == "quota_exceeded":
        assert f"{bus.quota('youtube').day.resets_at:%Y-%m-%d %H:%M} UTC" in failure.message


def test_a_data_api_answer_that_is_no_json_is_tried_again(
    bus: TestBus, talking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_API_KEY", "key")
    for status in (200, 502):
        talking.answer("/v3/videos", "<html>", status=status)

        assert _failure(bus).code == "youtube_error"


def test_a_data_api_that_cannot_be_reached_is_a_network_error(
    bus: TestBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_API_KEY", "key")
    place = f"127.0.0.1:{_unused_port()}"
    monkeypatch.setenv("MENOS_YOUTUBE_API_URL", f"http://{place}/v3")

    failure = _failure(bus)

    assert failure.code == "network"
    assert failure.message.startswith(f"{place} refused the connection: ")


def test_a_rate_limit_of_the_site_waits_as_long_as_it_says() -> None:
    from youtube_transcript_api import IpBlocked

    for header, seconds in (("7", 7), (None, 3600), ("soon", 3600)):
        error = from_library(IpBlocked("GJLlxj_dtq8"), header)
        assert isinstance(error, Retryable)
        assert (error.code, error.after) == ("blocked", seconds)


def test_a_blocked_address_waits_an_hour_and_a_rate_limit_as_long_as_it_says() -> None:
    from youtube_transcript_api import IpBlocked, RequestBlocked

    limited = {"error": {"errors": [{"reason": "rateLimitExceeded"}]}}
    for cls in (RequestBlocked, IpBlocked):
        error = from_library(cls("GJLlxj_dtq8"))
        assert isinstance(error, Retryable)
        assert error.after == 3600

    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    for header, seconds in ((None, 60), ("7", 7), (past, 60), ("later", 60), (soon, 90)):
        error = from_data_api(403, limited, header)
        assert isinstance(error, Retryable)
        assert error.after == pytest.approx(seconds, abs=2)


def test_every_error_of_the_library_has_a_meaning() -> None:
    import youtube_transcript_api as library

    ours = [
        from_library(cls.__new__(cls))
        for cls in vars(library).values()
        if isinstance(cls, type) and issubclass(cls, library.CouldNotRetrieveTranscript)
    ]

    assert len(ours) > 10
    assert all(isinstance(error, Permanent | Retryable) for error in ours)


def _failure(bus: TestBus) -> TaskFailed:
    with pytest.raises(TaskFailed) as caught:
        bus.call(TASK, URL)
    return caught.value


def _unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
