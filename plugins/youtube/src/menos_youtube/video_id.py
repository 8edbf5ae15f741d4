"""From what people paste to the id of a video, and back to one canonical URL.

Only hosts that are YouTube's are taken, compared as a whole: ``youtube.com.example.org`` and
``notyoutube.com`` are other sites. The URL that is stored is rebuilt from the id, so nothing of
the caller's string (tracking, user names, ports) survives.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qs, urljoin, urlsplit

from menos_bus import Permanent

_ID: Final = re.compile(r"[A-Za-z0-9_-]{11}")
_SHORT_HOST: Final = "youtu.be"
_HOSTS: Final = frozenset(
    {
        "youtube.com",
        "www.youtube.com",
        "m.youtube.com",
        "music.youtube.com",
        "kids.youtube.com",
        "www.youtubekids.com",
        "youtube-nocookie.com",
        "www.youtube-nocookie.com",
        _SHORT_HOST,
        "www.youtu.be",
    }
)
_ID_IN_PATH: Final = frozenset({"shorts", "live", "embed", "v", "e"})
_ID_IN_QUERY: Final = frozenset({"watch", "watch_popup"})
_CHANNELS: Final = frozenset({"channel", "user", "c"})


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
    return _from_url(text, nested=False)


def watch_url(video_id: str) -> str:
    """The canonical URL of a video."""
    return f"https://www.youtube.com/watch?v={video_id}"


def _from_url(text: str, *, nested: bool) -> str:
    # urlsplit drops tabs and line ends without a word, and browsers read "\" as "/".
    if not text or "\\" in text or any(char.isspace() or ord(char) < 32 for char in text):
        raise _refused("give the URL of a YouTube video, without spaces, or its 11-character id")
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise _refused("this is no valid URL") from None
    if parts.scheme not in ("http", "https"):
        raise _refused(
            "give a URL that starts with https:// and is YouTube's, or an id of 11 characters "
            "(letters, digits, '-' and '_')"
        )
    if host not in _HOSTS or parts.username is not None or port not in (None, 80, 443):
        raise _refused(f"{parts.netloc[:100]!r} is not YouTube")
    return _checked(_candidate(host, parts, nested=nested))


def _candidate(host: str, parts: SplitResult, *, nested: bool) -> str:
    """Find what stands where the id should be."""
    path = [part for part in parts.path.split("/") if part]
    first, second = [*path, "", ""][:2]
    query = parse_qs(parts.query)
    if host.removeprefix("www.") == _SHORT_HOST and first:
        return first
    if first in _ID_IN_QUERY and "v" in query:
        if len(set(query["v"])) > 1:
            raise _refused("it names several videos: give one `v`")
        return query["v"][0]
    if first == "playlist" or (first in _ID_IN_QUERY | {"embed"} and second in ("", "videoseries")):
        raise _refused("this is a playlist or no video at all: give the URL of one video")
    if first in _ID_IN_PATH and second:
        return second
    if first in _CHANNELS or first.startswith("@"):
        raise _refused("this is a channel: give the URL of one video")
    if first == "attribution_link" and not nested and "u" in query:
        return _from_url(urljoin("https://www.youtube.com/", query["u"][0]), nested=True)
    raise _refused("this page of YouTube is no video: give a URL like " + watch_url("<id>"))


def _checked(candidate: str) -> str:
    if not _ID.fullmatch(candidate):
        raise _refused(
            f"{candidate[:50]!r} is no video id: that has 11 characters "
            "(letters, digits, '-' and '_')"
        )
    return candidate


def _refused(reason: str) -> Permanent:
    return Permanent(f"url: {reason}", code="invalid_url")
