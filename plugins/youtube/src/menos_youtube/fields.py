"""The parameters of the tasks, each with its bounds and its description."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from menos_bus import Permanent, Wanted
from menos_youtube.channel_name import parse_channel
from menos_youtube.playlist_id import parse_playlist_id
from menos_youtube.video_id import parse_video_id

MAX_TRANSCRIPT = 2_000_000
"""Characters of a supplied transcript: some 12 hours of speech as SRT."""

MAX_VIDEOS = 5_000
"""Videos that one call may list: the most that YouTube keeps in a playlist."""


def _names(parse: Callable[[str], object]) -> AfterValidator:
    """Refuse what names nothing at the door already, before anything is queued."""

    def check(url: str) -> str:
        try:
            parse(url)
        except Permanent as refused:
            reason = refused.message.removeprefix("url: ")
            raise PydanticCustomError("invalid_url", "{reason}", {"reason": reason}) from None
        return url

    return AfterValidator(check)


def _as_written(value: Any) -> Any:
    # pydantic would take a number, also one that is written as text, for seconds since 1970.
    if value is None or isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise PydanticCustomError("moment", "must be a day or a time like 2026-01-31") from None


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


VideoUrl = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2048,
        description="The video: any form of its YouTube URL, or its 11-character id.",
    ),
    _names(parse_video_id),
]
PlaylistUrl = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2048,
        description="The playlist: its URL, that of a video in it with `list=`, or its id.",
    ),
    _names(parse_playlist_id),
]
ChannelUrl = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2048,
        description="The channel: its URL, its @handle, or its id.",
    ),
    _names(parse_channel),
]
Priority = Annotated[
    bool, Field(description="Goes ahead in the queue, and may use the quota's reserve.")
]


def _not_blank(text: str) -> str:
    from menos_vault.records.fields import not_blank

    return not_blank(text)


Transcript = Annotated[
    Annotated[str, Field(min_length=1, max_length=MAX_TRANSCRIPT), AfterValidator(_not_blank)]
    | None,
    Field(
        description="Your own transcript, instead of YouTube's captions: plain text, SRT, WebVTT "
        "or YouTube's json3, told apart by their looks.",
    ),
]
Title = Annotated[
    Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_not_blank)] | None,
    Field(description="Your own title, instead of YouTube's."),
]
_Tag = Annotated[
    str,
    Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$", max_length=35),
    Wanted("a language as a BCP 47 tag, such as `en` or `pt-BR`"),
]
Language = Annotated[
    _Tag | Annotated[list[_Tag], Field(min_length=1, max_length=20)] | None,
    Field(
        description="Preferred language of the captions as a BCP 47 tag, or several, the best "
        "first; by default those of the setting. If there is none of them, the spoken language is "
        "taken. With `transcript`: its language."
    ),
]
Refresh = Annotated[bool, Field(description="Fetch everything again, though the vault has it.")]
_Operation = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=50),
    Wanted("the name of an operation, up to 50 small letters, digits and _, such as `embed`"),
]
Process = Annotated[
    list[_Operation],
    Field(
        max_length=20,
        description="Operations of `tasks.process_content` to run on the content afterwards, such "
        "as `embed` and `summarize`.",
    ),
]
Limit = Annotated[int, Field(ge=1, le=MAX_VIDEOS, description="Videos to ingest at most.")]
Since = Annotated[
    datetime | None,
    BeforeValidator(_as_written),
    AfterValidator(lambda moment: moment and _in_utc(moment)),
    Field(
        description="Only videos published on this day or later: a day or a time, ISO 8601; "
        "without a zone it is UTC."
    ),
]
