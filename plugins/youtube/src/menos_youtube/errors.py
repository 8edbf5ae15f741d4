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
content_not_found    no         it was deleted while the call went on, or after it had stored it
resource_key_taken   no         another plugin stored a text under the video's key ``yt:<id>``
source_unavailable   no         ``MENOS_YOUTUBE_SOURCES`` names what is not there
api_key_missing      no         lists of videos need ``MENOS_YOUTUBE_API_KEY``
api_key_invalid      no         ``MENOS_YOUTUBE_API_KEY`` is wrong or may not be used
api_refused          no         the Data API takes such a request from nobody
quota_exceeded       no         the day's units of the Data API are spent; see the bus's quotas
listing              later      a long list is asked for in slices; the state is ``PROGRESS``
blocked              later      YouTube refuses this address, or wants fewer requests
network              yes        no connection, or no answer in time
youtube_error        yes        YouTube failed, or answered with something unknown
===================  =========  ==============================================================

Foreign classes are named, not imported: reading this table loads no HTTP library. What a player's
answer means is in :mod:`menos_youtube.playability`, and what a broken network does in
:mod:`menos_youtube.network`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from menos_bus import Permanent, Retryable
from menos_bus.errors import TaskError
from menos_youtube.network import ANY, Route, explain

BLOCKED_WAIT: Final = 3600.0
"""Seconds until a blocked address asks again. YouTube's blocks last hours."""

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
_NETWORK: Final = _Row("network", "{reason}", retryable=True)

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


def from_library(error: Exception, retry_after: str | None = None, route: Route = ANY) -> TaskError:
    """Say what an exception of a library that talks to YouTube means for a task.

    Args:
        error: of youtube-transcript-api, yt-dlp, requests or httpx.
        retry_after: the header of that name in the answer that led to it.
        route: the way that the last request went.
    """
    row = next(
        (_ERRORS[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _ERRORS),
        _SITE_CHANGED,
    )
    if row is _NETWORK:
        reason = explain(error, route)
    else:
        reason = str(getattr(error, "reason", None) or _name_and_text(error))
    return _raiseable(row, reason, retry_after)


def from_status(status: int, retry_after: str | None = None) -> TaskError:
    """Say what an HTTP status of YouTube's site, 400 or more, means for a task."""
    row = _BLOCKED if status == 429 else _ERRORS["YouTubeRequestFailed"]
    return _raiseable(row, f"HTTP {status}", retry_after)


def named(name: str, reason: str = "") -> TaskError:
    """The error that stands under a name in the table."""
    return _raiseable(_ERRORS[name], reason)


def no_transcript() -> TaskError:
    """The error for captions without any text."""
    return named("NoTranscriptFound")


def no_source(message: str) -> TaskError:
    """The error for a transcript source that cannot be used."""
    return Permanent(message, code="source_unavailable")


def _raiseable(row: _Row, reason: str, retry_after: str | None = None) -> TaskError:
    message = row.message.replace("{reason}", reason)
    if row.retryable:
        return Retryable(message, code=row.code, after=seconds_of(retry_after) or row.after)
    return Permanent(message, code=row.code)


def _name_and_text(error: Exception) -> str:
    # The library's own texts are pages long; its classes have speaking names.
    own = type(error).__module__.startswith("youtube_transcript_api")
    text = "" if own else str(error)[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def seconds_of(header: str | None) -> float | None:
    """The seconds that a header ``Retry-After`` says, as a number or as a date to come."""
    if not header or header.isdecimal():
        return float(header) if header else None
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    seconds = moment.timestamp() - time.time()
    return seconds if seconds > 0 else None
