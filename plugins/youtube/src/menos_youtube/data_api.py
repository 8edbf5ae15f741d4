"""The YouTube Data API v3: ``videos.list`` (1 unit), the only method that this plugin calls."""

from __future__ import annotations

from typing import Final

import httpx

from menos_bus import Permanent
from menos_youtube.errors import from_data_api, from_library, unavailable
from menos_youtube.settings import YoutubeSettings

# Only what is kept. Thumbnails as they come, since YouTube adds sizes.
_FIELDS: Final = (
    "items(id,snippet(title,description,channelId,channelTitle,publishedAt,tags,defaultLanguage,"
    "defaultAudioLanguage,liveBroadcastContent,thumbnails),contentDetails(duration),"
    "statistics(viewCount,likeCount,commentCount))"
)


def fetch_video(video_id: str, settings: YoutubeSettings) -> bytes:
    """Ask for one video; the settings have a key.

    Returns:
        The answer as it came; it has an item.

    Raises:
        Permanent: ``video_unavailable``, ``api_key_invalid``, ``quota_exceeded``.
        Retryable: ``blocked``, ``network``, ``youtube_error``.
    """
    if settings.api_key is None:
        raise Permanent("MENOS_YOUTUBE_API_KEY is not set", code="api_key_invalid")
    try:
        with client(settings) as http:
            response = http.get(
                f"{settings.api_url}/videos",
                params={
                    "part": "snippet,contentDetails,statistics",
                    "id": video_id,
                    "fields": _FIELDS,
                },
                # In a header, since URLs end up in logs.
                headers={"X-Goog-Api-Key": settings.api_key.get_secret_value()},
            )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise from_library(error) from error
    try:
        body = response.json()
    except ValueError as error:
        if response.is_success:
            raise from_library(error) from error
        body = None
    if not response.is_success:
        raise from_data_api(response.status_code, body, response.headers.get("Retry-After"))
    if not (isinstance(body, dict) and body.get("items")):
        raise unavailable()
    return response.content


def client(settings: YoutubeSettings) -> httpx.Client:
    """An HTTP client with the settings' timeout and proxy. It follows no redirects."""
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    return httpx.Client(timeout=settings.timeout, proxy=proxy)
