"""How a failure at YouTube ends a task: the one table from foreign errors to ours.

===================  =========  ==============================================================
code                 retried    means
===================  =========  ==============================================================
invalid_url          no         ``url`` names no YouTube video
playlist_not_found   no         there is no such playlist, or it is not public
channel_not_found    no         there is no such channel, or it has no list of videos
video_unavailable    no         removed, never there, or not playable here
video_private        no         only those whom its owner invited can see it
members_only         no         only paying members of the channel can see it
age_restricted       no         YouTube wants a signed-in adult
live_now             no         it is live, or yet to come: there is no recording
transcripts_disabled no         the video has no captions
no_transcript        no         there are captions, but none with text
source_unavailable   no         ``MENOS_YOUTUBE_SOURCES`` names what is not there
api_key_missing      no         lists of videos need ``MENOS_YOUTUBE_API_KEY``
api_key_invalid      no         ``MENOS_YOUTUBE_API_KEY`` is wrong or may not be used
quota_exceeded       no         the day's units of the Data API are spent
blocked              later      YouTube refuses this address, or wants fewer requests
network              yes        no connection, or no answer in time
youtube_error        yes        YouTube failed, or answered with something unknown
===================  =========  ==============================================================

Foreign classes are named, not imported: reading this table loads no HTTP library. What a player's
answer means is in :mod:`menos_youtube.playability`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from menos_bus import Permanent, Retryable
from menos_bus.errors import TaskError

BLOCKED_WAIT: Final = 3600.0
"""Seconds until a blocked address asks again. YouTube's blocks last hours."""

RATE_LIMIT_WAIT: Final = 60.0
"""Seconds until the Data API is asked again after "queries per minute"."""

_OWN_TRANSCRIPT: Final = "a transcript can be supplied with `transcript`"


class _Row(NamedTuple):
    code: str
    message: str
    """May use ``{reason}``, what the foreign error says."""
    retryable: bool = False
    after: float | None = None


_BLOCKED: Final = _Row(
    "blocked",
    "YouTube blocks requests from this address; wait some hours, or set MENOS_YOUTUBE_PROXY",
    retryable=True,
    after=BLOCKED_WAIT,
)
_UNKNOWN_ANSWER: Final = _Row(
    "youtube_error", "YouTube sent an answer that cannot be read ({reason})", retryable=True
)
_SITE_CHANGED: Final = _Row(
    "youtube_error",
    f"YouTube's pages are not as expected ({{reason}}); upgrade youtube-transcript-api, or "
    f"{_OWN_TRANSCRIPT}",
    retryable=True,
)
_NETWORK: Final = _Row("network", "no answer from YouTube: {reason}", retryable=True)

_ERRORS: Final[Mapping[str, _Row]] = {
    # youtube-transcript-api
    "AgeRestricted": _Row(
        "age_restricted",
        f"YouTube shows the video to signed-in adults only; {_OWN_TRANSCRIPT}",
    ),
    "TranscriptsDisabled": _Row(
        "transcripts_disabled", f"the video has no captions; {_OWN_TRANSCRIPT}"
    ),
    "NoTranscriptFound": _Row("no_transcript", f"the video has no transcript; {_OWN_TRANSCRIPT}"),
    "NotTranslatable": _Row("no_transcript", f"the video has no transcript; {_OWN_TRANSCRIPT}"),
    "VideoUnavailable": _Row("video_unavailable", "the video does not exist, or is not public"),
    "VideoUnplayable": _Row("video_unavailable", "the video cannot be played: {reason}"),
    "PrivateVideo": _Row("video_private", f"the video is private; {_OWN_TRANSCRIPT}"),
    "MembersOnly": _Row(
        "members_only", f"the video is for paying members of its channel; {_OWN_TRANSCRIPT}"
    ),
    "LiveVideo": _Row(
        "live_now",
        "the video is live or yet to come, so that it has no transcript: try again some hours "
        "after it has ended",
    ),
    "InvalidVideoId": _Row("invalid_url", "url: YouTube knows no video of this id"),
    "RequestBlocked": _BLOCKED,
    "IpBlocked": _BLOCKED,
    "YouTubeRequestFailed": _Row("youtube_error", "YouTube failed: {reason}", retryable=True),
    "PoTokenRequired": _SITE_CHANGED,
    "YouTubeDataUnparsable": _SITE_CHANGED,
    "FailedToCreateConsentCookie": _SITE_CHANGED,
    "CouldNotRetrieveTranscript": _SITE_CHANGED,
    # yt-dlp
    "YoutubeDLError": _Row(
        "youtube_error",
        f"YouTube's pages are not as expected ({{reason}}); upgrade yt-dlp, or {_OWN_TRANSCRIPT}",
        retryable=True,
    ),
    # An empty caption file: the library lets its XML parser's error out.
    "ParseError": _UNKNOWN_ANSWER,
    # requests, which youtube-transcript-api lets out as well, httpx, and yt-dlp's network
    "InvalidJSONError": _UNKNOWN_ANSWER,
    "RequestException": _NETWORK,
    "RequestError": _NETWORK,
    "HTTPError": _NETWORK,
    "InvalidURL": _NETWORK,
    # What a library does that expected other data.
    "LookupError": _UNKNOWN_ANSWER,
    "TypeError": _UNKNOWN_ANSWER,
    "AttributeError": _UNKNOWN_ANSWER,
    "ValueError": _UNKNOWN_ANSWER,
}
"""Class name → how it ends. The first class of an error's ancestry that stands here decides.

``PrivateVideo``, ``MembersOnly`` and ``LiveVideo`` are of no class: they are what
:mod:`menos_youtube.playability` reads.
"""

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
_QUOTA_REASONS: Final = frozenset({"dailyLimitExceeded", "quotaExceeded"})
_RATE_REASONS: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})


def from_library(error: Exception, retry_after: str | None = None) -> TaskError:
    """Say what an exception of a library that talks to YouTube means for a task.

    Args:
        error: of youtube-transcript-api, yt-dlp, requests or httpx.
        retry_after: the header of that name in the answer that led to it.
    """
    reason = str(getattr(error, "reason", None) or _name_and_text(error))
    row = next(
        (_ERRORS[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _ERRORS),
        _SITE_CHANGED,
    )
    return _raiseable(row, reason, retry_after)


def from_status(status: int, retry_after: str | None = None) -> TaskError:
    """Say what an HTTP status of YouTube's site, 400 or more, means for a task."""
    row = _BLOCKED if status == 429 else _ERRORS["YouTubeRequestFailed"]
    return _raiseable(row, f"HTTP {status}", retry_after)


def named(name: str, reason: str = "") -> TaskError:
    """The error that stands under a name in the table."""
    return _raiseable(_ERRORS[name], reason)


def from_data_api(
    status: int, body: object, retry_after: str | None = None, now: datetime | None = None
) -> TaskError:
    """Say what an error answer of the Data API means for a task.

    Args:
        status: the HTTP status, 400 or more.
        body: the parsed JSON, or anything else that came.
        retry_after: the header of that name.
        now: the present moment, for tests.
    """
    reasons, message = _reasons(body)
    said = f"{message or 'no reason given'} (HTTP {status}, {', '.join(reasons) or 'unknown'})"
    if _KEY_REASONS.intersection(reasons):
        return Permanent(
            f"the YouTube Data API refuses the key in MENOS_YOUTUBE_API_KEY: {said}; correct it, "
            "or unset it to go without",
            code="api_key_invalid",
        )
    if _QUOTA_REASONS.intersection(reasons):
        resets = next_quota_reset(now)
        return Permanent(
            "today's quota of the YouTube Data API is spent; it resets at midnight Pacific Time, "
            f"{resets:%Y-%m-%d %H:%M} UTC: try again then",
            code="quota_exceeded",
        )
    if status == 429 or _RATE_REASONS.intersection(reasons):
        return Retryable(
            f"the YouTube Data API wants fewer requests: {said}",
            code="blocked",
            after=_seconds(retry_after) or RATE_LIMIT_WAIT,
        )
    return Retryable(f"the YouTube Data API failed: {said}", code="youtube_error")


def unavailable() -> TaskError:
    """The error for an id that the Data API does not know: it answers 200 without items."""
    return named("VideoUnavailable")


def no_transcript() -> TaskError:
    """The error for captions without any text."""
    return named("NoTranscriptFound")


def no_source(message: str) -> TaskError:
    """The error for a transcript source that cannot be used."""
    return Permanent(message, code="source_unavailable")


def next_quota_reset(now: datetime | None = None) -> datetime:
    """When YouTube's quota day ends, in UTC: the next midnight in Los Angeles."""
    zone = ZoneInfo("America/Los_Angeles")
    today = (now or datetime.now(UTC)).astimezone(zone).date()
    # From the calendar, since the day of a clock change has 23 or 25 hours.
    return datetime.combine(today + timedelta(days=1), time(), zone).astimezone(UTC)


def _raiseable(row: _Row, reason: str, retry_after: str | None = None) -> TaskError:
    message = row.message.replace("{reason}", reason)
    if row.retryable:
        return Retryable(message, code=row.code, after=_seconds(retry_after) or row.after)
    return Permanent(message, code=row.code)


def _name_and_text(error: Exception) -> str:
    # The library's own texts are pages long; its classes have speaking names.
    own = type(error).__module__.startswith("youtube_transcript_api")
    text = "" if own else str(error)[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _reasons(body: object) -> tuple[list[str], str]:
    """Collect the reasons of an answer in either of Google's two shapes, and its message."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return [], ""
    items: list[Any] = [*_list(error.get("errors")), *_list(error.get("details"))]
    reasons = [str(item["reason"]) for item in items if isinstance(item, dict) and "reason" in item]
    return reasons, str(error.get("message", ""))[:300]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _seconds(header: str | None) -> float | None:
    # The other form, a date, is not worth a parser: the default wait does.
    return float(header) if header and header.isdecimal() else None
