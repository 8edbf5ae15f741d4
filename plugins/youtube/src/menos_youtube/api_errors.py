"""What an error answer of the YouTube Data API means for a task."""

from __future__ import annotations

from typing import Final

from menos_bus import Permanent, Retryable, TaskError
from menos_youtube.errors import seconds_of
from menos_youtube.foreign import objects_of, part_of

RATE_LIMIT_WAIT: Final = 60.0
"""Seconds until the Data API is asked again after "queries per minute"."""

_KEY_REASONS: Final = frozenset(
    {
        "API_KEY_HTTP_REFERRER_BLOCKED",
        "API_KEY_INVALID",
        "API_KEY_IP_ADDRESS_BLOCKED",
        "API_KEY_SERVICE_BLOCKED",
        "accessNotConfigured",
        "ipRefererBlocked",
        "keyExpired",
        "keyInvalid",
    }
)
_SPENT_REASONS: Final = frozenset({"dailyLimitExceeded", "quotaExceeded"})
_RATE_REASONS: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
_PLAYLIST_REASONS: Final = frozenset({"playlistItemsNotAccessible", "playlistNotFound"})


def spent_reason(body: object) -> str | None:
    """What the API says if the day's quota is spent, ``None`` if it says something else."""
    reasons, message = _reasons(body)
    if _SPENT_REASONS.intersection(reasons):
        return message or "quotaExceeded"
    return None


def from_data_api(status: int, body: object, retry_after: str | None = None) -> TaskError:
    """Say what an error answer means.

    Args:
        status: the HTTP status, 300 or more.
        body: the parsed JSON, or anything else that came.
        retry_after: the header of that name.
    """
    reasons, message = _reasons(body)
    said = f"{message or 'no reason given'} (HTTP {status}, {', '.join(reasons) or 'unknown'})"
    if _KEY_REASONS.intersection(reasons):
        return Permanent(
            f"the YouTube Data API refuses the key in MENOS_YOUTUBE_API_KEY: {said}; correct it, "
            "or unset it to go without",
            code="api_key_invalid",
        )
    if _PLAYLIST_REASONS.intersection(reasons):
        return Permanent("the playlist does not exist, or is not public", code="playlist_not_found")
    if status == 429 or _RATE_REASONS.intersection(reasons):
        return Retryable(
            f"the YouTube Data API wants fewer requests: {said}",
            code="blocked",
            after=seconds_of(retry_after) or RATE_LIMIT_WAIT,
        )
    if status < 500 and status != 408:
        # It would cost a unit each time to hear the same.
        return Permanent(f"the YouTube Data API refuses the request: {said}", code="api_refused")
    return Retryable(f"the YouTube Data API failed: {said}", code="youtube_error")


def _reasons(body: object) -> tuple[list[str], str]:
    """Collect the reasons of an answer in either of Google's two shapes, and its message."""
    error = part_of(body, "error")
    items = [*objects_of(error, "errors"), *objects_of(error, "details")]
    reasons = [str(item["reason"]) for item in items if "reason" in item]
    return reasons, str(error.get("message", ""))[:300]
