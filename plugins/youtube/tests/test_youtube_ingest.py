"""``tasks.ingest_youtube`` from URL to record, against a local server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from menos_bus import InvalidCall, TaskFailed
from menos_bus.testing import TestBus
from menos_vault import Vault, content_id

TASK = "tasks.ingest_youtube"
VIDEO = "GJLlxj_dtq8"
URL = f"https://www.youtube.com/watch?v={VIDEO}"
TRANSCRIPT_PATHS = ["/watch", "/youtubei/v1/player", "/api/timedtext"]


def test_a_recorded_video_is_ingested_without_a_key(
    bus: TestBus, youtube: Any, vault: Vault, recorded: Any
) -> None:
    player = recorded("transcript-api/youtube.innertube.json.static")
    captions = recorded("transcript-api/transcript.xml.static")
    youtube.answer("/watch", recorded("transcript-api/youtube.html.static.gz"))
    youtube.answer("/youtubei/v1/player", player)
    youtube.answer("/api/timedtext", captions)

    result = bus.call(TASK, URL)

    content = vault.records.get_content(result["content_id"])
    assert result == {
        "status": "success",
        "content_id": content_id(f"yt:{VIDEO}"),
        "title": "Surface Go Review - It’s Awesome",
    }
    assert youtube.paths == TRANSCRIPT_PATHS
    assert (content.resource_key, content.content_type) == (f"yt:{VIDEO}", "youtube")
    assert (content.author, content.url, content.language) == ("Dave2D", URL, "en")
    assert (content.status, content.tags[0]) == ("stored", "Dave2D")
    assert content.metadata["duration_seconds"] == 316
    assert content.metadata["transcript_source"] == "captions"
    objects = {role: vault.objects.get(key) for role, key in content.objects.items()}
    assert objects["metadata"] == player
    assert objects["transcript"] == captions
    assert objects["text"].decode() == (
        "Hey, this is just a test\n"
        "this is not the original transcript\n"
        "just something shorter, I made up for testing"
    )
    assert json.loads(objects["segments"]) == [[0, 0.0, 1.54], [25, 1.54, 4.16], [61, 5.7, 3.239]]


def test_with_a_key_the_metadata_is_the_data_api_s(
    bus: TestBus, youtube: Any, vault: Vault, recorded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_API_KEY", "s3cret")
    video = recorded("data-api-v3/videos_videos_info_single.json")
    youtube.answer("/v3/videos", video)
    youtube.answer("/watch", recorded("transcript-api/youtube.html.static.gz"))
    youtube.answer("/youtubei/v1/player", recorded("transcript-api/youtube.innertube.json.static"))
    youtube.answer("/api/timedtext", recorded("transcript-api/transcript.xml.static"))

    result = bus.call(TASK, "https://youtu.be/D-lhorsDlUQ")

    content = vault.records.get_content(result["content_id"])
    assert youtube.paths == ["/v3/videos", *TRANSCRIPT_PATHS]
    asked = youtube.asked[0]
    assert asked.query["id"] == "D-lhorsDlUQ"
    assert asked.headers["X-Goog-Api-Key"] == "s3cret"
    assert "s3cret" not in str(asked.query)
    assert result["title"] == "What are Actions on Google (Assistant on Air)"
    assert content.author == "Google Developers"
    assert content.url == "https://www.youtube.com/watch?v=D-lhorsDlUQ"
    assert "smarthome developers" in content.tags
    assert content.metadata["published_at"] == "2019-03-21T20:37:49.000Z"
    assert "Luke Davis and guest" in str(content.metadata["description"])
    assert vault.objects.get(content.objects["metadata"]) == video


def test_segments_point_into_the_text_and_end_where_the_next_begins(
    bus: TestBus, talking: Any, vault: Vault
) -> None:
    result = bus.call(TASK, VIDEO)

    content = vault.records.get_content(result["content_id"])
    text = vault.objects.get(content.objects["text"]).decode()
    segments = json.loads(vault.objects.get(content.objects["segments"]))
    assert text == "Hello & welcome\nto the second line\nthe end"
    assert segments == [[0, 0.0, 2.0], [16, 2.0, 3.0], [35, 5.0, 2.25]]
    assert [text[offset:].partition("\n")[0] for offset, _, _ in segments] == text.split("\n")


def test_a_second_ingest_makes_no_request(bus: TestBus, talking: Any, vault: Vault) -> None:
    first = bus.call(TASK, URL)
    before = vault.records.get_content(first["content_id"])
    talking.asked.clear()

    second = bus.call(TASK, f"https://youtu.be/{VIDEO}?si=abc", priority=True)

    assert second == first
    assert talking.asked == []
    assert vault.records.get_content(first["content_id"]) == before


def test_refresh_fetches_again_and_keeps_one_record(
    bus: TestBus, talking: Any, vault: Vault, answers: Any
) -> None:
    first = bus.call(TASK, URL)
    talking.answer("/youtubei/v1/player", answers.player("en", title="A new title"))

    second = bus.call(TASK, URL, refresh=True)

    assert second == {**first, "title": "A new title"}
    assert talking.paths == TRANSCRIPT_PATHS * 2
    assert vault.records.counts().contents == 1


def test_a_lost_text_object_is_repaired(bus: TestBus, talking: Any, vault: Vault) -> None:
    first = bus.call(TASK, URL)
    key = vault.records.get_content(first["content_id"]).objects["text"]
    text = vault.objects.get(key)
    vault.objects.delete(key)

    assert bus.call(TASK, URL) == first

    assert vault.objects.get(key) == text


def test_metadata_that_cost_quota_is_not_asked_for_twice(
    bus: TestBus, talking: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_API_KEY", "key")
    talking.answer("/v3/videos", {"items": [{"id": VIDEO, "snippet": {"title": "From the API"}}]})
    talking.answer("/api/timedtext", "")
    with pytest.raises(TaskFailed, match="youtube_error"):
        bus.call(TASK, URL)

    assert talking.paths.count("/v3/videos") == 1
    assert vault.records.counts().contents == 0  # nothing half-stored


@pytest.mark.parametrize(
    "title",
    [
        """He said "don't" — 'really'?""",
        "'; DELETE content; --",
        "back\\slash ` tick $id {{ x }} <b>&amp;</b> 日本語 🎬",
    ],
)
def test_titles_are_data_whatever_they_contain(
    bus: TestBus, talking: Any, vault: Vault, answers: Any, title: str
) -> None:
    talking.answer("/youtubei/v1/player", answers.player("en", title=title))

    result = bus.call(TASK, URL)

    assert result["title"] == title
    assert vault.records.get_content(result["content_id"]).title == title


def test_halves_of_characters_and_zeros_in_youtube_s_answers_are_stored_as_something_else(
    bus: TestBus, talking: Any, vault: Vault, answers: Any
) -> None:
    broken = "a\ud800b\0c"
    details = {"title": broken, "author": broken, "shortDescription": broken, "keywords": [broken]}
    talking.answer("/youtubei/v1/player", answers.player("en", videoDetails=details))

    result = bus.call(TASK, URL)

    content = vault.records.get_content(result["content_id"])
    assert (content.title, content.tags) == ("a b c", ["a?bc"])
    assert content.metadata["description"] == "a?bc"


def test_the_first_preferred_language_is_taken_and_its_tag_stored(
    bus: TestBus, talking: Any, vault: Vault, answers: Any
) -> None:
    talking.answer("/youtubei/v1/player", answers.player("zh", "en", "de-AT", "asr:de"))

    result = bus.call(TASK, URL, language=["fr", "de", "en"])

    assert talking.asked[-1].query["lang"] == "de-AT"
    assert vault.records.get_content(result["content_id"]).language == "de-AT"


def test_without_the_preferred_language_the_spoken_one_is_taken(
    bus: TestBus, talking: Any, vault: Vault, answers: Any
) -> None:
    talking.answer("/youtubei/v1/player", answers.player("zh", "ja", "asr:ja"))

    result = bus.call(TASK, URL)

    assert talking.asked[-1].query["lang"] == "ja"
    assert vault.records.get_content(result["content_id"]).language == "ja"


def test_the_consent_page_is_passed(
    bus: TestBus, talking: Any, recorded: Any, answers: Any
) -> None:
    consent = recorded("transcript-api/youtube_consent_page.html.static")
    talking.answer("/watch", consent, answers.WATCH_PAGE)

    assert bus.call(TASK, URL)["status"] == "success"

    assert talking.paths == ["/watch", *TRANSCRIPT_PATHS]
    assert "CONSENT=YES+" in talking.asked[1].headers["Cookie"]


def test_all_requests_go_through_the_proxy_that_is_set(
    bus: TestBus, talking: Any, monkeypatch: pytest.MonkeyPatch, answers: Any
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_SITE_URL", "http://youtube.invalid")
    monkeypatch.setenv("MENOS_YOUTUBE_PROXY", talking.url)
    talking.answer("/youtubei/v1/player", answers.player("en", title=None))
    talking.answer("/oembed", {"title": "By oEmbed", "author_name": "Somebody"})

    assert bus.call(TASK, URL)["title"] == "By oEmbed"

    assert talking.paths == [*TRANSCRIPT_PATHS, "/oembed"]
    assert {asked.headers["Host"] for asked in talking.asked} == {"youtube.invalid"}


@pytest.mark.parametrize(
    "joined",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\u0645\u06cc\u200c\u0631\u0648\u0645",  # "I go" in Persian
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # England
    ],
)
def test_a_title_is_on_one_line_and_keeps_what_joins(
    bus: TestBus, talking: Any, answers: Any, joined: str
) -> None:
    talking.answer("/youtubei/v1/player", answers.player("en", title=f" {joined}\r\n\u200bx\x07 "))

    assert bus.call(TASK, URL)["title"] == f"{joined} x"
    assert bus.call(TASK, URL, title=f"\u2028{joined}\ty")["title"] == f"{joined} y"


@pytest.mark.parametrize("title", [None, " ", "\u200b", "\u3164\u2800", "\ufe0f"])
def test_a_video_that_nobody_can_name_gets_its_id_as_title(
    bus: TestBus, talking: Any, answers: Any, title: str | None
) -> None:
    talking.answer("/youtubei/v1/player", answers.player("en", title=title))
    talking.answer("/oembed", {"title": title})

    assert bus.call(TASK, URL)["title"] == f"YouTube video {VIDEO}"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "url"),
        ({"url": 5}, "url"),
        ({"url": "x" * 2049}, "url"),
        ({"url": URL, "language": "not a tag!"}, "language"),
        ({"url": URL, "language": []}, "language"),
        ({"url": URL, "title": ""}, "title"),
        ({"url": URL, "transcript": ""}, "transcript"),
        ({"url": URL, "transcript": "x" * 2_000_001}, "transcript"),
        ({"url": URL, "refresh": "perhaps"}, "refresh"),
        ({"url": URL, "path": "/etc/passwd"}, "path"),
    ],
)
def test_wrong_arguments_are_refused_by_name(
    bus: TestBus, youtube: Any, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidCall) as caught:
        bus.call(TASK, **arguments)

    assert {problem.field.split(".")[0] for problem in caught.value.problems} == {field}
    assert youtube.asked == []
