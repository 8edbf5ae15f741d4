"""URLs of YouTube's site, told from all others.

Only hosts that are YouTube's are taken, compared as a whole: ``youtube.com.example.org`` and
``notyoutube.com`` are other sites. What is stored is rebuilt from an id, so nothing of the caller's
string (tracking, user names, ports) survives.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from menos_bus import Permanent

SHORT_HOST: Final = "youtu.be"
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
        SHORT_HOST,
        "www.youtu.be",
    }
)


def split_site_url(text: str, wanted: str) -> SplitResult:
    """Take a URL of YouTube's site apart.

    Args:
        text: what a caller gave.
        wanted: what else the caller could have given, for the message.

    Raises:
        Permanent: code ``invalid_url``; says what is wrong with the field ``url``.
    """
    # urlsplit drops tabs and line ends without a word, and browsers read "\" as "/".
    if not text or "\\" in text or any(char.isspace() or ord(char) < 32 for char in text):
        raise refused(f"give {wanted}, without spaces")
    if text.partition("/")[0].lower() in _HOSTS:
        text = f"https://{text}"  # as address bars show it
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise refused("this is no valid URL") from None
    if parts.scheme not in ("http", "https"):
        raise refused(f"give {wanted}; a URL starts with https:// and is YouTube's")
    if host not in _HOSTS or parts.username is not None or port not in (None, 80, 443):
        raise refused(f"{parts.netloc[:100]!r} is not YouTube")
    return parts


def is_short(parts: SplitResult) -> bool:
    """Whether it is of ``youtu.be``."""
    return (parts.hostname or "").lower().removeprefix("www.") == SHORT_HOST


def path_of(parts: SplitResult) -> list[str]:
    """The parts of the path, decoded."""
    return [unquote(part) for part in parts.path.split("/") if part]


def refused(reason: str) -> Permanent:
    """The error about the field ``url``."""
    return Permanent(f"url: {reason}", code="invalid_url")
