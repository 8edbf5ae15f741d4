"""What the player's answer says about a video that it does not play."""

from __future__ import annotations

import json
from typing import Any

import pytest

from menos_bus import Retryable
from menos_youtube.playability import refusal


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        ("LOGIN_REQUIRED", "This is a private video. Please sign in to verify …", "video_private"),
        ("LOGIN_REQUIRED", "This video is private", "video_private"),
        ("LOGIN_REQUIRED", "Sign in to confirm your age", "age_restricted"),
        ("LOGIN_REQUIRED", "Sign in to confirm you’re not a bot", "blocked"),
        ("LOGIN_REQUIRED", "Please sign in", "blocked"),
        ("AGE_CHECK_REQUIRED", None, "age_restricted"),
        ("AGE_VERIFICATION_REQUIRED", "Confirm", "age_restricted"),
        ("UNPLAYABLE", "Join this channel to get access to members-only content", "members_only"),
        ("UNPLAYABLE", "This video is available to this channel's members", "members_only"),
        ("UNPLAYABLE", "Video unavailable", "video_unavailable"),
        ("UNPLAYABLE", "This video requires payment to watch", "video_unavailable"),
        ("UNPLAYABLE", "This content isn’t available, try again later.", "blocked"),
        ("LIVE_STREAM_OFFLINE", "This live event will begin in 5 minutes.", "live_now"),
        ("LIVE_STREAM_OFFLINE", None, "live_now"),
        ("UNPLAYABLE", "Premieres in 2 hours", "live_now"),
        ("ERROR", "This video has been removed by the uploader", "video_unavailable"),
        ("ERROR", None, "video_unavailable"),
        ("SOMETHING_NEW", None, "video_unavailable"),
    ],
)
def test_status_and_text_decide(status: str, reason: str | None, code: str) -> None:
    error = refusal(_answer({"status": status, "reason": reason}))

    assert error is not None
    assert error.code == code
    assert isinstance(error, Retryable) == (code == "blocked")
    if code == "video_unavailable" and reason:
        assert reason in error.message


def test_the_smaller_print_counts_and_is_repeated() -> None:
    print_ = {
        "runs": [{"text": "The uploader has not made this video available "}, {"text": "here"}]
    }
    screen = {"playerErrorMessageRenderer": {"subreason": print_}}

    error = refusal(
        _answer({"status": "UNPLAYABLE", "reason": "Video unavailable", "errorScreen": screen})
    )

    assert error is not None
    assert error.message.endswith(
        "Video unavailable The uploader has not made this video available here"
    )


@pytest.mark.parametrize("name", ["isLive", "isUpcoming"])
def test_a_playable_video_that_is_live_has_no_recording(name: str) -> None:
    error = refusal(json.dumps({"videoDetails": {name: True}}).encode())

    assert error is not None
    assert error.code == "live_now"


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"playabilityStatus": 5, "videoDetails": []}',
        b'{"playabilityStatus": {"status": 5}}',
        b'{"playabilityStatus": {"status": "OK", "reason": "private"}}',
        b'{"playabilityStatus": {"status": "OK"}, "videoDetails": {"isLiveContent": true}}',
    ],
)
def test_what_is_playable_or_unknown_is_not_refused(raw: bytes | None) -> None:
    assert refusal(raw) is None


def test_strange_texts_are_no_error() -> None:
    strange: dict[str, Any] = {"status": "ERROR", "reason": {"runs": [5, {}]}, "messages": [5, {}]}

    error = refusal(_answer({**strange, "errorScreen": {"playerErrorMessageRenderer": []}}))

    assert error is not None
    assert error.code == "video_unavailable"


def _answer(playability: dict[str, Any]) -> bytes:
    return json.dumps({"playabilityStatus": playability}).encode()
