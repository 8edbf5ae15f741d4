"""From what people paste to the id of a video, and back to one canonical URL."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qs, urljoin

from menos_youtube.site_url import is_short, path_of, refused, split_site_url

_ID: Final = re.compile(r"[A-Za-z0-9_-]{11}")
_ID_IN_PATH: Final = frozenset({"shorts", "live", "embed", "v", "e"})
_ID_IN_QUERY: Final = frozenset({"watch", "watch_popup"})
_CHANNELS: Final = frozenset({"channel", "user", "c"})
_WANTED: Final = (
    "the URL of a YouTube video, or its id of 11 characters (letters, digits, '-' and '_')"
)


def parse_video_id(url: str) -> str:
    """Return the 11-character id of the video that a URL, or a bare id, names.

    Forms: ``watch?v=``, ``watch_popup?v=``, ``youtu.be/``, ``/shorts/``, ``/live/``, ``/embed/``,
    ``/v/``, ``/e/``, ``attribution_link?u=``; a list in the query of a video changes nothing.

    Raises:
        Permanent: code ``invalid_url``; says what is wrong with the field ``url``.
    """
    text = url.strip()
    if _ID.fullmatch(text):
        return text
    return _checked(_candidate(split_site_url(text, _WANTED), nested=False))


def is_video_id(text: object) -> bool:
    """Whether this is an id as YouTube's answers have it."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def watch_url(video_id: str) -> str:
    """The canonical URL of a video."""
    return f"https://www.youtube.com/watch?v={video_id}"


def _candidate(parts: SplitResult, *, nested: bool) -> str:
    """Find what stands where the id should be."""
    first, second = [*path_of(parts), "", ""][:2]
    query = parse_qs(parts.query)
    if is_short(parts) and first:
        return first
    if first in _ID_IN_QUERY and "v" in query:
        if len(set(query["v"])) > 1:
            raise refused("it names several videos: give one `v`")
        return query["v"][0]
    if first == "playlist" or (first in _ID_IN_QUERY | {"embed"} and second in ("", "videoseries")):
        raise refused(
            "this is a playlist or no video at all: give the URL of one video, or call "
            "tasks.ingest_youtube_playlist"
        )
    if first in _ID_IN_PATH and second:
        return second
    if first in _CHANNELS or first.startswith("@"):
        raise refused(
            "this is a channel: give the URL of one video, or call tasks.ingest_youtube_channel"
        )
    if first == "attribution_link" and not nested and "u" in query:
        try:
            inner = urljoin("https://www.youtube.com/", query["u"][0])
        except ValueError:
            raise refused("this is no valid URL") from None
        return _candidate(split_site_url(inner, _WANTED), nested=True)
    raise refused("this page of YouTube is no video: give a URL like " + watch_url("<id>"))


def _checked(candidate: str) -> str:
    if not _ID.fullmatch(candidate):
        raise refused(
            f"{candidate[:50]!r} is no video id: that has 11 characters "
            "(letters, digits, '-' and '_')"
        )
    return candidate
