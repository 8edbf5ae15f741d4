"""From what people paste to the id of a playlist."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs

from menos_youtube.site_url import path_of, refused, split_site_url

_CHARS: Final = "[A-Za-z0-9_-]"
# Made by a user (PL, formerly EC), of a channel (UU all uploads, UULF videos, UUSH shorts, …, FL
# favourites), an album (OLAK5uy_).
_ID: Final = re.compile(
    rf"(?:PL|EC)(?:{_CHARS}{{32}}|{_CHARS}{{16}})|(?:UU(?:[A-Z]{{2}})?|FL){_CHARS}{{22}}"
    rf"|OLAK5uy_{_CHARS}{{33}}"
)
_PAGES: Final = ("playlist", "watch", "watch_popup", "embed", "videoseries")
_WANTED: Final = "the URL of a YouTube playlist, or its id, which begins with PL, UU or OLAK5uy_"


def parse_playlist_id(url: str) -> str:
    """Return the id of the playlist that a URL, or a bare id, names.

    Forms: ``playlist?list=``, ``embed/videoseries?list=``, and a ``list`` in the query of a video.

    Raises:
        Permanent: code ``invalid_url``; says what is wrong with the field ``url``.
    """
    text = url.strip()
    if "/" not in text and "." not in text:
        return _checked(text)
    parts = split_site_url(text, _WANTED)
    lists = parse_qs(parts.query).get("list", [])
    if len(set(lists)) > 1:
        raise refused("it names several playlists: give one `list`")
    if lists:
        return _checked(lists[0])
    if next(iter(path_of(parts)), "") in _PAGES:
        raise refused("it names no playlist: that stands behind `list=` in the URL")
    raise refused(f"this page of YouTube is no playlist: give {_WANTED}")


def _checked(candidate: str) -> str:
    if _ID.fullmatch(candidate):
        return candidate
    if candidate.startswith("RD"):
        raise refused("this is a mix, which YouTube makes for each viewer: give a playlist")
    if candidate == "WL" or candidate.startswith("LL"):
        raise refused("this playlist is its owner's alone: give a public one")
    raise refused(f"{candidate[:60]!r} is no playlist id: give {_WANTED}")
