"""What YouTube says about a video, whichever of its answers it is read from.

Three answers have it: ``videos.list`` of the Data API (the fullest, needs a key), the player's
(comes with every transcript) and oEmbed (title and author only). All are foreign data: whatever is
missing or of another type is left out, never an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Final

from pydantic import JsonValue

from menos_youtube.description import find_chapters, find_urls
from menos_youtube.foreign import (
    as_object,
    number_of,
    objects_of,
    part_of,
    storable,
    text_of,
    texts_of,
)

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
    item = next(iter(objects_of(as_object(raw), "items")), None)
    snippet = part_of(item, "snippet")
    statistics = part_of(item, "statistics")
    live = text_of(snippet, "liveBroadcastContent")
    return Metadata(
        title=text_of(snippet, "title"),
        author=text_of(snippet, "channelTitle"),
        language=text_of(snippet, "defaultAudioLanguage") or text_of(snippet, "defaultLanguage"),
        tags=texts_of(snippet, "tags"),
        live=live if live in ("live", "upcoming") else None,
        details=_details(
            description=text_of(snippet, "description", keep_lines=True),
            duration=_duration(text_of(part_of(item, "contentDetails"), "duration")),
            channel_id=text_of(snippet, "channelId"),
            published_at=text_of(snippet, "publishedAt"),
            view_count=number_of(statistics, "viewCount"),
            like_count=number_of(statistics, "likeCount"),
            comment_count=number_of(statistics, "commentCount"),
            thumbnails=_thumbnails(snippet.get("thumbnails")),
        ),
    )


def from_player(raw: bytes) -> Metadata:
    """Read the answer of ``youtubei/v1/player``, which the transcript is found by."""
    answer = as_object(raw)
    video = part_of(answer, "videoDetails")
    about = part_of(part_of(answer, "microformat"), "playerMicroformatRenderer")
    return Metadata(
        title=text_of(video, "title"),
        author=text_of(video, "author"),
        tags=texts_of(video, "keywords"),
        live=next((name for name in ("live", "upcoming") if video.get(_LIVE[name]) is True), None),
        details=_details(
            description=text_of(video, "shortDescription", keep_lines=True),
            duration=number_of(video, "lengthSeconds"),
            channel_id=text_of(video, "channelId"),
            published_at=text_of(about, "publishDate"),
            view_count=number_of(video, "viewCount"),
            thumbnails=_thumbnails(part_of(video, "thumbnail").get("thumbnails")),
        ),
    )


def from_oembed(raw: bytes) -> Metadata:
    """Read the answer of ``/oembed``."""
    answer = as_object(raw)
    thumbnail = {name: answer.get(f"thumbnail_{name}") for name in ("url", "width", "height")}
    return Metadata(
        title=text_of(answer, "title"),
        author=text_of(answer, "author_name"),
        details=_details(
            channel_url=text_of(answer, "author_url"), thumbnails=_thumbnails([thumbnail])
        ),
    )


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
        named = [({"size": storable(size)}, item) for size, item in items.items()]
    else:
        named = [({}, item) for item in (items if isinstance(items, list) else [])]
    found: list[JsonValue] = []
    for size, item in named:
        if isinstance(item, dict) and isinstance(item.get("url"), str):
            sides = {side: item.get(side) for side in ("width", "height")}
            found.append({**size, "url": storable(item["url"]), **_pixels(sides)})
    return found or None


def _pixels(sides: dict[str, Any]) -> dict[str, JsonValue]:
    return {name: n for name, n in sides.items() if type(n) is int and 0 < n < 100_000}
