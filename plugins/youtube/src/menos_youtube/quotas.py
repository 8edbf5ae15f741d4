"""The quotas of the plugin: the Data API's buckets, and a pace for transcripts."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from menos_bus import Quota
from menos_youtube.costs import GENERAL, SEARCH
from menos_youtube.settings import YoutubeSettings

TRANSCRIPTS = "youtube.transcripts"
_BURST = 10
"""Transcripts that may be fetched at once after a pause."""


def general(settings: YoutubeSettings) -> Quota:
    """What most methods are paid from."""
    reserve = settings.quota_reserve
    return Quota(
        GENERAL.name,
        limit=settings.quota_limit,
        reserve=settings.quota_limit // 10 if reserve is None else reserve,
        zone=settings.quota_zone,
        policy=settings.quota_policy,
    )


def search(settings: YoutubeSettings) -> Quota:
    """What ``search.list`` is paid from."""
    return Quota(
        SEARCH.name,
        limit=settings.search_limit,
        zone=settings.quota_zone,
        policy=settings.quota_policy,
    )


def transcripts(settings: YoutubeSettings) -> Quota | None:
    """How fast transcripts may be fetched; YouTube blocks an address that asks too often."""
    if not settings.transcript_rate:
        return None
    return Quota(TRANSCRIPTS, rate=settings.transcript_rate, burst=_BURST)


def transcript_turn(settings: YoutubeSettings) -> AbstractContextManager[object]:
    """Wait for the turn of one transcript; to be entered before YouTube is asked for it.

    Raises:
        Deferred: the turn comes much later, or the store of the quotas does not answer.
    """
    quota = transcripts(settings)
    return nullcontext() if quota is None else quota.spend()


def all_quotas(settings: YoutubeSettings) -> list[Quota]:
    """All of them."""
    found = (general(settings), search(settings), transcripts(settings))
    return [quota for quota in found if quota is not None]
