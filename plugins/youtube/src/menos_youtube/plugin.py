"""The hooks of the plugin ``youtube``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from menos_bus import Check, Permanent, Quota, hookimpl
from menos_youtube.quotas import all_quotas
from menos_youtube.settings import YoutubeSettings
from menos_youtube.tasks import ingest_youtube, ingest_youtube_channel, ingest_youtube_playlist

LISTS: Final = {
    "tasks.ingest_youtube_playlist": ingest_youtube_playlist,
    "tasks.ingest_youtube_channel": ingest_youtube_channel,
}
"""Tasks that ingest a list of videos."""


@hookimpl
def register_settings(register: Callable[[type], None]) -> None:
    """Declare :class:`YoutubeSettings`."""
    register(YoutubeSettings)


def why_one_process() -> str | None:
    """Why the vault cannot be used by several processes, if so."""
    from menos_vault import why_one_process

    return why_one_process()


@hookimpl
def register_tasks(register: Callable[..., None]) -> None:
    """Declare ``tasks.ingest_youtube``, and under a second name with a callback that must be given.

    Lists of videos are tasks of their own. A failed request is tried again five times, after up to
    5 s first and twice as long each further time; a blocked one says itself when.
    """
    every = {"max_retries": 5, "retry_backoff": 5, "one_process": {"the vault": why_one_process}}
    register(ingest_youtube, name="tasks.ingest_youtube", **every)
    register(
        ingest_youtube,
        name="tasks.ingest_youtube_with_callback",
        positional=["url", "callback_url"],
        **every,
    )
    for name, function in LISTS.items():
        register(function, name=name, **every)


@hookimpl
def register_quotas(register: Callable[[Quota], None]) -> None:
    """Declare the buckets of the Data API, and the pace of transcripts."""
    for quota in all_quotas(YoutubeSettings()):
        register(quota)


@hookimpl
def task_finished(task: str, task_id: str, state: str) -> None:
    """Delete what a call kept of its list. One that failed may be taken up again."""
    if task in LISTS and state == "SUCCESS":
        from menos_vault import open_vault
        from menos_youtube.list_archive import ListArchive

        ListArchive(task_id, open_vault()).delete()


@hookimpl
def check_health(extensions: Callable[[str], dict[str, Any]]) -> Iterable[Check]:
    """Say where metadata and transcripts come from, and whether those who are asked are there.

    Asks nobody over the network: a check must cost no quota.
    """
    settings = YoutubeSettings()
    if settings.api_key is None:
        message = "no API key: title and author come from the watch page (MENOS_YOUTUBE_API_KEY)"
    else:
        message = "an API key is set: metadata comes from the YouTube Data API"
    yield Check("youtube.metadata", ok=True, message=message)
    yield _sources(settings, extensions)


def _sources(settings: YoutubeSettings, extensions: Callable[[str], dict[str, Any]]) -> Check:
    from menos_youtube.sources import POINT
    from menos_youtube.sources.order import check, choose

    try:
        check(choose(settings.sources, extensions(POINT)))
    except Permanent as error:
        message, _, fix = error.message.partition(": ")
        return Check("youtube.sources", False, message, fix)
    message = f"transcripts come from {', '.join(settings.sources)}"
    return Check("youtube.sources", ok=True, message=message)
