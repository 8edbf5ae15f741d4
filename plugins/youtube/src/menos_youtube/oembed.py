"""oEmbed: title and author without a key, for videos that nothing else was asked about."""

from __future__ import annotations

import logging

import httpx

from menos_youtube.data_api import client
from menos_youtube.settings import YoutubeSettings
from menos_youtube.video_id import watch_url

logger = logging.getLogger(__name__)


def fetch_oembed(video_id: str, settings: YoutubeSettings) -> bytes | None:
    """Ask for a video's title.

    Returns:
        The answer as it came, ``None`` if there is none: a video that may not be embedded has no
        oEmbed either, so that a failure here says nothing about the video.
    """
    try:
        with client(settings) as http:
            response = http.get(
                f"{settings.site_url}/oembed",
                params={"url": watch_url(video_id), "format": "json"},
            )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        logger.info("oEmbed of %s failed: %r", video_id, error)
        return None
    if response.status_code != httpx.codes.OK:
        logger.info("oEmbed of %s failed: HTTP %s", video_id, response.status_code)
        return None
    return response.content
