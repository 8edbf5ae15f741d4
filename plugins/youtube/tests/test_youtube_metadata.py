"""What YouTube's answers say about a video."""

from __future__ import annotations

import json
from typing import Any

import pytest

from menos_youtube.metadata import Metadata, from_data_api, from_oembed, from_player


def test_the_data_api_s_answer_is_read_in_full() -> None:
    sizes = {
        "default": {"url": "https://i.ytimg.com/d.jpg", "width": 120, "height": 90},
        "a new one": {"url": "https://i.ytimg.com/n.jpg", "width": 7680, "height": 4320},
        "broken": {"width": 5},
    }
    item = {
        "snippet": {
            "title": "T",
            "channelTitle": "C",
            "channelId": "UC1",
            "publishedAt": "2026-01-02T03:04:05Z",
            "description": "See https://example.org.\n0:00 Start\n1:00 Middle\n2:00 End",
            "tags": ["a", "b"],
            "defaultLanguage": "en",
            "defaultAudioLanguage": "de",
            "liveBroadcastContent": "none",
            "thumbnails": sizes,
        },
        "contentDetails": {"duration": "PT3M"},
        "statistics": {"viewCount": "12", "likeCount": "3", "commentCount": "4"},
    }

    found = from_data_api(json.dumps({"items": [item]}).encode())

    assert (found.title, found.author, found.language, found.live) == ("T", "C", "de", None)
    assert found.tags == ["a", "b"]
    assert found.details == {
        "description": item["snippet"]["description"],
        "urls": ["https://example.org"],
        "chapters": [
            {"start": 0, "title": "Start"},
            {"start": 60, "title": "Middle"},
            {"start": 120, "title": "End"},
        ],
        "channel_id": "UC1",
        "published_at": "2026-01-02T03:04:05Z",
        "duration_seconds": 180,
        "view_count": 12,
        "like_count": 3,
        "comment_count": 4,
        "thumbnails": [
            {"size": "default", "url": "https://i.ytimg.com/d.jpg", "width": 120, "height": 90},
            {
                "size": "a new one",
                "url": "https://i.ytimg.com/n.jpg",
                "width": 7680,
                "height": 4320,
            },
        ],
    }


def test_a_recorded_player_answer_is_read(recorded: Any) -> None:
    found = from_player(recorded("captions/player_response_QRS8MkLhQmM.json"))

    assert (found.title, found.author) == ("YouTube Captions and Subtitles", "YouTube")
    assert found.details["urls"] == [
        "http://www.youtube.com/t/captions_about",
        "http://sites.google.com/site/youtubecaptoinsandsubtitles/",
    ]
    assert found.details["published_at"] == "2008-09-22"
    thumbnails = found.details["thumbnails"]
    assert isinstance(thumbnails, list)
    assert [item["width"] for item in thumbnails] == [168, 196, 246, 336]  # type: ignore[index, call-overload]


def test_oembed_knows_the_channel_and_a_thumbnail() -> None:
    answer = {
        "title": "T",
        "author_name": "C",
        "author_url": "https://www.youtube.com/@c",
        "thumbnail_url": "https://i.ytimg.com/hq.jpg",
        "thumbnail_width": 480,
        "thumbnail_height": 360,
    }

    found = from_oembed(json.dumps(answer).encode())

    assert (found.title, found.author) == ("T", "C")
    assert found.details == {
        "channel_url": "https://www.youtube.com/@c",
        "thumbnails": [{"url": "https://i.ytimg.com/hq.jpg", "width": 480, "height": 360}],
    }


@pytest.mark.parametrize(
    ("raw", "read", "live"),
    [
        ({"items": [{"snippet": {"liveBroadcastContent": "live"}}]}, from_data_api, "live"),
        ({"items": [{"snippet": {"liveBroadcastContent": "upcoming"}}]}, from_data_api, "upcoming"),
        ({"items": [{"snippet": {"liveBroadcastContent": "none"}}]}, from_data_api, None),
        ({"videoDetails": {"isLive": True}}, from_player, "live"),
        ({"videoDetails": {"isUpcoming": True}}, from_player, "upcoming"),
        ({"videoDetails": {"isLiveContent": True}}, from_player, None),
    ],
)
def test_a_video_that_is_live_or_yet_to_come_is_known_as_such(
    raw: Any, read: Any, live: str | None
) -> None:
    assert read(json.dumps(raw).encode()).live == live


def test_a_known_description_without_urls_says_so_and_an_unknown_one_does_not() -> None:
    known = from_player(b'{"videoDetails": {"shortDescription": "Nothing here"}}')

    assert known.details == {"description": "Nothing here", "urls": [], "chapters": []}
    assert from_player(b'{"videoDetails": {}}') == Metadata()


@pytest.mark.parametrize(
    "thumbnails",
    [5, [5], {"a": 5}, [{"url": 5}], [{"url": "u", "width": "wide", "height": 10**30}]],
)
def test_strange_thumbnails_are_no_error(thumbnails: Any) -> None:
    raw = json.dumps({"items": [{"snippet": {"thumbnails": thumbnails}}]}).encode()

    assert from_data_api(raw).details.get("thumbnails") in (None, [{"url": "u"}])
