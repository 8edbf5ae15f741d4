"""The plugin's tasks, as callers see them. Heavy imports happen inside, when one first runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NotRequired

from typing_extensions import TypedDict

from menos_bus import PluginError, task_id
from menos_youtube import fields
from menos_youtube.channel_name import parse_channel
from menos_youtube.playlist_id import parse_playlist_id
from menos_youtube.report import Report, ingest_all
from menos_youtube.video_id import parse_video_id

if TYPE_CHECKING:
    from menos_youtube.listing import Listing


class Ingested(TypedDict):
    """The result of :func:`ingest_youtube`; ``process_task_id`` only with ``process``."""

    status: Literal["success"]
    content_id: str
    title: str
    process_task_id: NotRequired[str]


def ingest_youtube(
    url: fields.VideoUrl,
    priority: fields.Priority = False,
    transcript: fields.Transcript = None,
    title: fields.Title = None,
    language: fields.Language = None,
    refresh: fields.Refresh = False,
    process: fields.Process = [],  # noqa: B006 - each call gets a checked copy
) -> Ingested:
    """Store a YouTube video: its transcript with times, title, author and other metadata.

    A video that the vault has already is answered from there, without any request, unless
    ``refresh`` is set or ``transcript`` differs from the stored one.

    Returns:
        ``{"status": "success", "content_id": …, "title": …}``; the id is what
        ``tasks.process_content`` takes. With ``process``, also the id of that call.

    Raises:
        TaskError: see :mod:`menos_youtube.errors` for the codes.
    """
    from menos_vault import open_vault
    from menos_youtube.follow_up import check_operations, process_content
    from menos_youtube.foreign import one_line
    from menos_youtube.ingest import Ingest, Request
    from menos_youtube.settings import YoutubeSettings

    request = Request(
        parse_video_id(url),
        transcript=transcript,
        title=title and one_line(title),
        languages=[language] if isinstance(language, str) else language or [],
        refresh=refresh,
    )
    check_operations(process)
    content = Ingest(request, open_vault(), YoutubeSettings()).run()
    result: Ingested = {"status": "success", "content_id": content.id, "title": content.title}
    if process:
        result["process_task_id"] = process_content(content.id, process, priority=priority)
    return result


def ingest_youtube_playlist(
    url: fields.PlaylistUrl,
    limit: fields.Limit = fields.MAX_VIDEOS,
    priority: fields.Priority = False,
    language: fields.Language = None,
    process: fields.Process = [],  # noqa: B006 - each call gets a checked copy
) -> Report:
    """Store the videos of a YouTube playlist, each by a call of ``tasks.ingest_youtube``.

    Videos that the vault has are skipped, and with ``process`` only processed. The call ends when
    all of its videos have ended, and succeeds also if some of them failed; see ``status`` and each
    video's own. It needs the key of the Data API, and costs 1 unit for 50 videos of the list and 1
    for 50 that are new.

    Returns:
        How many were stored, skipped and failed, and what became of each.

    Raises:
        TaskError: the list could not be had; see :mod:`menos_youtube.errors` for the codes.
    """
    collection = _listing(process).playlist(parse_playlist_id(url), limit)
    return ingest_all(collection, _options(priority, language, process))


def ingest_youtube_channel(
    url: fields.ChannelUrl,
    limit: fields.Limit = 50,
    since: fields.Since = None,
    priority: fields.Priority = False,
    language: fields.Language = None,
    process: fields.Process = [],  # noqa: B006 - each call gets a checked copy
) -> Report:
    """Store the newest videos of a YouTube channel, each by a call of ``tasks.ingest_youtube``.

    Made to be called again and again, with ``since`` or without: videos that the vault has are
    skipped. Otherwise as ``tasks.ingest_youtube_playlist``; finding the channel costs 1 unit.

    Returns:
        How many were stored, skipped and failed, and what became of each.

    Raises:
        TaskError: the list could not be had; see :mod:`menos_youtube.errors` for the codes.
    """
    collection = _listing(process).channel(parse_channel(url), limit, since)
    return ingest_all(collection, _options(priority, language, process))


def _listing(process: list[str]) -> Listing:
    from menos_vault import open_vault
    from menos_youtube.follow_up import check_operations
    from menos_youtube.listing import Listing
    from menos_youtube.settings import YoutubeSettings

    call = task_id()
    if call is None:
        raise PluginError("a list can be ingested by a task only: submit it, or use TestBus")
    check_operations(process)
    return Listing(call, open_vault(), YoutubeSettings())


def _options(priority: bool, language: Any, process: list[str]) -> dict[str, Any]:
    """The arguments that the call of each video gets as well."""
    given = {"priority": priority, "language": language, "process": process}
    return {name: value for name, value in given.items() if value}
