"""What YouTube says about a video, whichever of its answers it is read from.

Three answers have it: ``videos.list`` of the Data API (the fullest, needs a key), the player's
(comes with every transcript) and oEmbed (title and author only). All are foreign data: whatever is
missing or of another type is left out, never an error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, fields
from typing import Any, Final

from pydantic import JsonValue

from menos_youtube.description import find_chapters, find_urls

_LIVE: Final = {"live": "isLive", "upcoming": "isUpcoming"}
_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


@dataclass(frozen=True)
class Metadata:
    """What is known of a video.

    Attributes:
        title: its title.
        author: the channel's name.
        language: BCP 47 tag of what is spoken in it.
        tags: the uploader's keywords.
        live: ``live`` or ``upcoming``, of a video that has no recording yet.
        details: ``description``, its ``urls`` and its ``chapters`` (each ``start`` in seconds and
            ``title``), ``channel_id``, ``channel_url``, ``published_at`` (ISO 8601),
            ``duration_seconds``, ``view_count``, ``like_count``, ``comment_count``, ``thumbnails``
            (each ``url``, ``width``, ``height``, and its ``size`` if that has a name); only those
            that are known.
    """

    title: str | None = None
    author: str | None = None
    language: str | None = None
    tags: list[str] = field(default_factory=list)
    live: str | None = None
    details: dict[str, JsonValue] = field(default_factory=dict)

    def completed_by(self, other: Metadata) -> Metadata:
        """This, with what it lacks taken from another."""
        values = {f.name: getattr(self, f.name) or getattr(other, f.name) for f in fields(self)}
        return Metadata(**values | {"details": {**other.details, **self.details}})


def from_data_api(raw: bytes) -> Metadata:
    """Read an answer of ``videos.list`` that has one item."""
    items = _object(raw).get("items")
    item = items[0] if isinstance(items, list) and items else None
    snippet = _part(item, "snippet")
    statistics = _part(item, "statistics")
    live = _text(snippet, "liveBroadcastContent")
    return Metadata(
        title=_text(snippet, "title"),
        author=_text(snippet, "channelTitle"),
        language=_text(snippet, "defaultAudioLanguage") or _text(snippet, "defaultLanguage"),
        tags=_texts(snippet, "tags"),
        live=live if live in ("live", "upcoming") else None,
        details=_details(
            description=_text(snippet, "description", keep_lines=True),
            duration=_duration(_text(_part(item, "contentDetails"), "duration")),
            channel_id=_text(snippet, "channelId"),
            published_at=_text(snippet, "publishedAt"),
            view_count=_number(statistics, "viewCount"),
            like_count=_number(statistics, "likeCount"),
            comment_count=_number(statistics, "commentCount"),
            thumbnails=_thumbnails(snippet.get("thumbnails")),
        ),
    )


def from_player(raw: bytes) -> Metadata:
    """Read the answer of ``youtubei/v1/player``, which the transcript is found by."""
    answer = _object(raw)
    video = _part(answer, "videoDetails")
    about = _part(_part(answer, "microformat"), "playerMicroformatRenderer")
    return Metadata(
        title=_text(video, "title"),
        author=_text(video, "author"),
        tags=_texts(video, "keywords"),
        live=next((name for name in ("live", "upcoming") if video.get(_LIVE[name]) is True), None),
        details=_details(
            description=_text(video, "shortDescription", keep_lines=True),
            duration=_number(video, "lengthSeconds"),
            channel_id=_text(video, "channelId"),
            published_at=_text(about, "publishDate"),
            view_count=_number(video, "viewCount"),
            thumbnails=_thumbnails(_part(video, "thumbnail").get("thumbnails")),
        ),
    )


def from_oembed(raw: bytes) -> Metadata:
    """Read the answer of ``/oembed``."""
    answer = _object(raw)
    thumbnail = {name: answer.get(f"thumbnail_{name}") for name in ("url", "width", "height")}
    return Metadata(
        title=_text(answer, "title"),
        author=_text(answer, "author_name"),
        details=_details(
            channel_url=_text(answer, "author_url"), thumbnails=_thumbnails([thumbnail])
        ),
    )


def one_line(text: str) -> str:
    """A text without line ends, control characters and outer spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _part(value: object, name: str) -> dict[str, Any]:
    part = value.get(name) if isinstance(value, dict) else None
    return part if isinstance(part, dict) else {}


def _text(part: dict[str, Any], name: str, *, keep_lines: bool = False) -> str | None:
    value = part.get(name)
    if not isinstance(value, str):
        return None
    return (_storable(value).strip() if keep_lines else one_line(value)) or None


def _texts(part: dict[str, Any], name: str) -> list[str]:
    value = part.get(name)
    texts = value if isinstance(value, list) else []
    return [_storable(text) for text in texts if isinstance(text, str)]


def _storable(text: str) -> str:
    """A text without halves of characters and zeros, which JSON can hold and databases cannot."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _number(part: dict[str, Any], name: str) -> int | None:
    value = part.get(name)  # YouTube sends 64-bit numbers as text
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else None


def _duration(text: str | None) -> int | None:
    match = _DURATION.fullmatch(text or "")
    if not text or match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _details(
    *, description: str | None = None, duration: int | None = None, **values: JsonValue
) -> dict[str, JsonValue]:
    """Put together what is known, with what stands in the description."""
    if description is not None:
        # Empty lists too: the record is merged, and an earlier description may have had some.
        values["urls"] = [*find_urls(description)]
        chapters = find_chapters(description, duration)
        values["chapters"] = [chapter._asdict() for chapter in chapters]
    values |= {"description": description, "duration_seconds": duration}
    return {name: value for name, value in values.items() if value is not None}


def _thumbnails(items: object) -> list[JsonValue] | None:
    """The thumbnails of a list, or of an object that names their sizes.

    YouTube adds names, so none is looked for.
    """
    if isinstance(items, dict):
        named = [({"size": _storable(size)}, item) for size, item in items.items()]
    else:
        named = [({}, item) for item in (items if isinstance(items, list) else [])]
    found: list[JsonValue] = []
    for size, item in named:
        if isinstance(item, dict) and isinstance(item.get("url"), str):
            sides = {side: item.get(side) for side in ("width", "height")}
            found.append({**size, "url": _storable(item["url"]), **_pixels(sides)})
    return found or None


def _pixels(sides: dict[str, Any]) -> dict[str, JsonValue]:
    return {name: n for name, n in sides.items() if type(n) is int and 0 < n < 100_000}
