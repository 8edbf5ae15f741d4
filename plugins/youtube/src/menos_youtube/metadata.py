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

_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


@dataclass(frozen=True)
class Metadata:
    """What is known of a video.

    Attributes:
        title: its title.
        author: the channel's name.
        language: BCP 47 tag of what is spoken in it.
        tags: the uploader's keywords.
        details: ``description``, ``channel_id``, ``published_at`` (ISO 8601), ``duration_seconds``,
            ``view_count``, ``like_count``; only those that are known.
    """

    title: str | None = None
    author: str | None = None
    language: str | None = None
    tags: list[str] = field(default_factory=list)
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
    return Metadata(
        title=_text(snippet, "title"),
        author=_text(snippet, "channelTitle"),
        language=_text(snippet, "defaultAudioLanguage") or _text(snippet, "defaultLanguage"),
        tags=_texts(snippet, "tags"),
        details=_known(
            description=_text(snippet, "description", keep_lines=True),
            channel_id=_text(snippet, "channelId"),
            published_at=_text(snippet, "publishedAt"),
            duration_seconds=_duration(_text(_part(item, "contentDetails"), "duration")),
            view_count=_number(statistics, "viewCount"),
            like_count=_number(statistics, "likeCount"),
        ),
    )


def from_player(raw: bytes) -> Metadata:
    """Read the answer of ``youtubei/v1/player``, which the transcript is found by."""
    video = _part(_object(raw), "videoDetails")
    return Metadata(
        title=_text(video, "title"),
        author=_text(video, "author"),
        tags=_texts(video, "keywords"),
        details=_known(
            description=_text(video, "shortDescription", keep_lines=True),
            channel_id=_text(video, "channelId"),
            duration_seconds=_number(video, "lengthSeconds"),
            view_count=_number(video, "viewCount"),
        ),
    )


def from_oembed(raw: bytes) -> Metadata:
    """Read the answer of ``/oembed``."""
    answer = _object(raw)
    return Metadata(title=_text(answer, "title"), author=_text(answer, "author_name"))


def one_line(text: str) -> str:
    """A text without line ends, control characters and outer spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _part(value: object, name: str) -> dict[str, Any]:
    part = value.get(name) if isinstance(value, dict) else None
    return part if isinstance(part, dict) else {}


def _text(part: dict[str, Any], name: str, *, keep_lines: bool = False) -> str | None:
    value = part.get(name)
    if not isinstance(value, str):
        return None
    return (value.strip() if keep_lines else one_line(value)) or None


def _texts(part: dict[str, Any], name: str) -> list[str]:
    value = part.get(name)
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _number(part: dict[str, Any], name: str) -> int | None:
    value = part.get(name)  # YouTube sends 64-bit numbers as text
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else None


def _duration(text: str | None) -> int | None:
    match = _DURATION.fullmatch(text or "")
    if not text or match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _known(**values: JsonValue) -> dict[str, JsonValue]:
    return {name: value for name, value in values.items() if value is not None}
