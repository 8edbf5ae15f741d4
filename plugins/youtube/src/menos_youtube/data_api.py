"""The YouTube Data API v3: one method per function, each request paid from its quota.

Each function returns an answer as it came, to be archived before anything is read in it.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import cache
from typing import Final

import httpx

from menos_bus import Permanent
from menos_youtube import quotas
from menos_youtube.api_errors import from_data_api, spent_reason
from menos_youtube.channel_name import ChannelName
from menos_youtube.costs import COSTS, GENERAL, SEARCH
from menos_youtube.errors import from_library
from menos_youtube.foreign import as_object
from menos_youtube.network import route_of
from menos_youtube.settings import YoutubeSettings

PAGE: Final = 50
"""Ids in one ``videos.list``, and items on one page, at most."""

# Only what is kept. Thumbnails as they come, since YouTube adds sizes.
_FIELDS: Final = (
    "items(id,snippet(title,description,channelId,channelTitle,publishedAt,tags,defaultLanguage,"
    "defaultAudioLanguage,liveBroadcastContent,thumbnails),contentDetails(duration),"
    "statistics(viewCount,likeCount,commentCount))"
)
_ITEM_FIELDS: Final = (
    "nextPageToken,pageInfo(totalResults),items(snippet(title,resourceId/videoId),"
    "contentDetails(videoPublishedAt))"
)
_CHANNEL_FIELDS: Final = "items(id,snippet(title,customUrl),contentDetails(relatedPlaylists))"
_UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.InvalidURL,
    httpx.LocalProtocolError,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)
"""What httpx raises when a request has surely not left: its units are given back."""


def fetch_videos(video_ids: Sequence[str], settings: YoutubeSettings) -> bytes:
    """Ask for up to :data:`PAGE` videos: ``videos.list``, 1 unit.

    The answer has no item for what is private, removed or was never there.
    """
    return _call(
        "videos.list",
        settings,
        part="snippet,contentDetails,statistics",
        id=",".join(video_ids),
        fields=_FIELDS,
    )


def fetch_playlist_page(playlist_id: str, token: str | None, settings: YoutubeSettings) -> bytes:
    """Ask for one page of a playlist: ``playlistItems.list``, 1 unit.

    Raises:
        Permanent: ``playlist_not_found``, and what :func:`_call` raises.
    """
    more = {"pageToken": token} if token else {}
    return _call(
        "playlistItems.list",
        settings,
        part="snippet,contentDetails",
        playlistId=playlist_id,
        maxResults=str(PAGE),
        fields=_ITEM_FIELDS,
        **more,
    )


def fetch_channel(name: ChannelName, settings: YoutubeSettings) -> bytes:
    """Ask for a channel with its list of uploads: ``channels.list``, 1 unit.

    The answer has no item if there is no such channel. A custom name (``/c/…``) is tried as a
    handle, which most of them have become.
    """
    by = {
        "id": {"id": name.value},
        "handle": {"forHandle": name.value},
        "user": {"forUsername": name.value},
        "custom": {"forHandle": f"@{name.value}"},
    }[name.kind]
    return _call(
        "channels.list", settings, part="snippet,contentDetails", fields=_CHANNEL_FIELDS, **by
    )


def search_channel(text: str, settings: YoutubeSettings) -> bytes:
    """Look for channels by words: ``search.list``, 1 unit of its own bucket."""
    return _call(
        "search.list",
        settings,
        part="snippet",
        type="channel",
        q=text,
        maxResults="5",
        fields="items(id(channelId))",
    )


def client(settings: YoutubeSettings) -> httpx.Client:
    """An HTTP client with the settings' timeout and proxy. It follows no redirects."""
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    return httpx.Client(timeout=settings.timeout, proxy=proxy, verify=_authorities())


@cache
def _authorities() -> ssl.SSLContext:
    """Whose certificates are trusted; to read them takes longer than a request."""
    return httpx.create_ssl_context()


def _call(method: str, settings: YoutubeSettings, **params: str) -> bytes:
    """Make one request, and pay for it.

    Raises:
        QuotaExceeded, Deferred: see :meth:`menos_bus.Quota.spend`.
        Permanent: ``api_key_missing``, ``api_key_invalid``, and what the method's answers mean.
        Retryable: ``blocked``, ``network``, ``youtube_error``.
    """
    if settings.api_key is None:
        raise Permanent(
            "this needs a key of the YouTube Data API: set MENOS_YOUTUBE_API_KEY",
            code="api_key_missing",
        )
    url = f"{settings.api_url}/{method.partition('.')[0]}"
    cost = COSTS[method]
    quota = {GENERAL: quotas.general, SEARCH: quotas.search}[cost.bucket](settings)
    try:
        with client(settings) as http, quota.spend(cost.units, unsent=_UNSENT) as spent:
            response = http.get(
                url,
                params=params,
                # In a header, since URLs end up in logs.
                headers={"X-Goog-Api-Key": settings.api_key.get_secret_value()},
            )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise from_library(error, route=route_of(url, settings)) from error
    if response.is_success:
        return response.content
    body = as_object(response.content)
    if (reason := spent_reason(body)) is not None:
        spent.close(reason)
    raise from_data_api(response.status_code, body, response.headers.get("Retry-After"))
