"""The plugin's tasks, as callers see them. Heavy imports happen inside, when one first runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from menos_bus import Permanent
from menos_youtube.video_id import parse_video_id

MAX_TRANSCRIPT = 2_000_000
"""Characters of a supplied transcript: some 12 hours of speech as SRT."""


def _names_a_video(url: str) -> str:
    """Refuse what is no video at the door already, before anything is queued."""
    try:
        parse_video_id(url)
    except Permanent as refused:
        reason = refused.message.removeprefix("url: ")
        raise PydanticCustomError("invalid_url", "{reason}", {"reason": reason}) from None
    return url


Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$", max_length=35)]


def ingest_youtube(
    url: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2048,
            description="The video: any form of its YouTube URL, or its 11-character id.",
        ),
        AfterValidator(_names_a_video),
    ],
    priority: Annotated[
        bool, Field(description="Goes ahead in the queue, and may use the quota's reserve.")
    ] = False,
    transcript: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_TRANSCRIPT,
            description="Your own transcript, instead of YouTube's captions: plain text, SRT or "
            "WebVTT, told apart by their looks.",
        ),
    ] = None,
    title: Annotated[
        str | None,
        Field(min_length=1, max_length=500, description="Your own title, instead of YouTube's."),
    ] = None,
    language: Annotated[
        Language | Annotated[list[Language], Field(min_length=1, max_length=20)] | None,
        Field(
            description="Preferred language of the captions as a BCP 47 tag, or several, the best "
            "first; by default `en`. If there is none of them, the spoken language is taken. With "
            "`transcript`: its language."
        ),
    ] = None,
    refresh: Annotated[
        bool, Field(description="Fetch everything again, though the vault has the video.")
    ] = False,
) -> dict[str, str]:
    """Store a YouTube video: its transcript with times, title, author and other metadata.

    A video that the vault has already is answered from there, without any request, unless
    ``refresh`` is set or ``transcript`` differs from the stored one.

    Returns:
        ``{"status": "success", "content_id": …, "title": …}``; the id is what
        ``tasks.process_content`` takes.

    Raises:
        TaskError: see :mod:`menos_youtube.errors` for the codes.
    """
    video_id = parse_video_id(url)

    from menos_vault import open_vault
    from menos_youtube.ingest import Ingest, Request, clean_title
    from menos_youtube.settings import YoutubeSettings

    request = Request(
        video_id,
        transcript=transcript,
        title=clean_title(title),
        languages=[language] if isinstance(language, str) else language or [],
        refresh=refresh,
    )
    content = Ingest(request, open_vault(), YoutubeSettings()).run()
    return {"status": "success", "content_id": content.id, "title": content.title}
