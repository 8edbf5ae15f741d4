"""Playlists and channels: what is listed, what it costs, and what became of each video."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import menos_content.plugin
import menos_youtube.plugin
from menos_bus import InvalidCall, TaskFailed
from menos_bus.testing import TestBus
from menos_vault import Content, Vault, content_id
from menos_youtube import list_archive
from menos_youtube.listing import _is_due

PLAYLIST, CHANNEL = "tasks.ingest_youtube_playlist", "tasks.ingest_youtube_channel"
LIST_ID = "PL" + "p" * 32
LIST_URL = f"https://www.youtube.com/playlist?list={LIST_ID}"


def statuses(report: dict[str, Any]) -> list[str]:
    return [video["status"] for video in report["videos"]]


def test_a_playlist_is_ingested_video_by_video(
    bus: TestBus, channel: Callable[[int], Any], vault: Vault
) -> None:
    youtube = channel(3)

    report = bus.call(PLAYLIST, LIST_URL)

    assert (report["status"], report["id"], report["total"]) == ("success", LIST_ID, 3)
    assert (report["stored"], report["skipped"], report["failed"]) == (3, 0, 0)
    for video, video_id in zip(report["videos"], youtube.ids, strict=True):
        content = vault.records.get_content(video["content_id"])
        assert video["video_id"] == video_id
        assert video["title"] == content.title == f"Title {video_id}"
        assert content.resource_key == f"yt:{video_id}"
        assert content.author == "Some body"


def test_50_videos_cost_a_page_and_a_list_and_the_bus_counts_what_youtube_counts(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(51)

    report = bus.call(PLAYLIST, LIST_ID)

    assert report["stored"] == 51
    assert len(youtube.requests("/v3/playlistItems")) == 2
    assert len(youtube.requests("/v3/videos")) == 2
    assert bus.quota("youtube").used == youtube.units == 4


def test_what_is_stored_is_skipped_and_costs_only_the_pages(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(60)
    bus.call(PLAYLIST, LIST_URL, limit=55)
    youtube.youtube.asked.clear()

    report = bus.call(PLAYLIST, LIST_URL)

    assert (report["stored"], report["skipped"]) == (5, 55)
    assert statuses(report) == ["skipped"] * 55 + ["stored"] * 5
    assert report["videos"][0]["content_id"] == content_id(f"yt:{youtube.ids[0]}")
    assert [len(youtube.requests(f"/v3/{what}")) for what in ("playlistItems", "videos")] == [2, 1]
    assert len(youtube.requests("/watch")) == 5


def test_a_limit_ends_the_list_and_asks_for_no_further_page(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(120)
    youtube.private.update(youtube.ids)

    report = bus.call(PLAYLIST, LIST_URL, limit=50)

    assert (len(report["videos"]), report["total"]) == (50, 120)
    assert len(youtube.requests("/v3/playlistItems")) == 1


def test_a_video_that_stands_twice_in_a_list_is_ingested_once(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(2)
    youtube.ids *= 2

    assert len(bus.call(PLAYLIST, LIST_URL)["videos"]) == 2


def test_private_videos_are_told_and_the_others_stored(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(3)
    youtube.private.add(youtube.ids[1])

    report = bus.call(PLAYLIST, LIST_URL)

    assert (report["status"], statuses(report)) == ("partial", ["stored", "failed", "stored"])
    assert report["videos"][1]["error"]["code"] == "video_unavailable"
    assert "task_id" not in report["videos"][1]


def test_a_video_that_fails_does_not_fail_the_others(
    bus: TestBus, channel: Callable[[int], Any], answers: Any
) -> None:
    youtube = channel(3)
    youtube.youtube.answer(
        "/youtubei/v1/player",
        answers.player("en"),
        answers.player(playabilityStatus={"status": "LOGIN_REQUIRED", "reason": "Private video"}),
        answers.player("en"),
    )

    report = bus.call(PLAYLIST, LIST_URL)

    assert (report["status"], statuses(report)) == ("partial", ["stored", "failed", "stored"])
    assert report["videos"][1]["error"]["code"] == "video_private"
    assert report["videos"][1]["task_id"]


def test_an_empty_playlist_is_a_success(bus: TestBus, channel: Callable[[int], Any]) -> None:
    channel(0)

    assert bus.call(PLAYLIST, LIST_URL)["videos"] == []


def test_a_page_that_names_itself_as_the_next_one_ends_the_list(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(1)
    page = {"items": [], "nextPageToken": "again", "pageInfo": {"totalResults": 900}}
    youtube.youtube.serve("/v3/playlistItems", lambda asked: page)

    bus.call(PLAYLIST, LIST_URL)

    assert len(youtube.requests("/v3/playlistItems")) == 2


def test_options_reach_each_video(
    bus: TestBus, channel: Callable[[int], Any], answers: Any, vault: Vault
) -> None:
    youtube = channel(2)
    youtube.youtube.answer("/youtubei/v1/player", answers.player("en", "de"))

    report = bus.call(PLAYLIST, LIST_URL, language="de", priority=True)

    languages = [
        vault.records.get_content(video["content_id"]).language for video in report["videos"]
    ]
    assert languages == ["de", "de"]


# channels


@pytest.mark.parametrize(
    "url",
    [
        "UC" + "c" * 22,
        "@somebody",
        f"https://www.youtube.com/channel/UC{'c' * 22}",
        "https://www.youtube.com/@Somebody/videos",
        "https://m.youtube.com/user/somebody",
        "https://www.youtube.com/c/somebody",
    ],
)
def test_every_name_of_a_channel_leads_to_its_uploads(
    bus: TestBus, channel: Callable[[int], Any], url: str
) -> None:
    youtube = channel(2)

    report = bus.call(CHANNEL, url)

    assert (report["id"], report["title"]) == (youtube.ID, "Some body")
    assert report["stored"] == 2
    asked = youtube.requests("/v3/playlistItems")
    assert [each.query["playlistId"] for each in asked] == [youtube.UPLOADS]
    assert bus.quota("youtube").used == youtube.units == 3


def test_the_newest_50_are_taken_unless_more_are_asked_for(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(70)
    youtube.private.update(youtube.ids)

    report = bus.call(CHANNEL, "@somebody")

    assert [video["video_id"] for video in report["videos"]] == youtube.ids[:50]
    assert len(bus.call(CHANNEL, "@somebody", limit=60)["videos"]) == 60


def test_since_takes_what_was_published_then_or_later_and_reads_no_further_page(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(500)

    # Published on 1 June, 31 May, … at noon; the last one taken is of 10 May.
    report = bus.call(CHANNEL, "@somebody", since="2026-05-10", limit=500)

    assert [video["video_id"] for video in report["videos"]] == youtube.ids[:23]
    # The first page alone had some that are too old, but also recent ones.
    assert len(youtube.requests("/v3/playlistItems")) == 2


@pytest.mark.parametrize("since", ["yesterday", 1_800_000_000, "1800000000", "2026-13-01"])
def test_since_that_is_no_day_is_refused(bus: TestBus, since: Any) -> None:
    with pytest.raises(InvalidCall, match="since"):
        bus.call(CHANNEL, "@somebody", since=since)


def test_a_custom_name_that_is_no_handle_is_looked_for_and_compared(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(1)
    snippet = {"title": "Old timer", "customUrl": "old.timer"}
    found = {"id": youtube.ID, "snippet": snippet}
    found["contentDetails"] = {"relatedPlaylists": {"uploads": youtube.UPLOADS}}
    others = {"UC" + "x" * 22: {**found, "snippet": {"customUrl": "@other"}}, youtube.ID: found}
    youtube.youtube.serve(
        "/v3/search", lambda _: {"items": [{"id": {"channelId": each}} for each in others]}
    )
    youtube.youtube.serve(
        "/v3/channels",
        lambda asked: {"items": [others[asked.query["id"]]] if "id" in asked.query else []},
    )

    report = bus.call(CHANNEL, "https://www.youtube.com/c/Old.Timer")

    assert report["title"] == "Old timer"
    assert bus.quota("youtube.search").used == 1
    assert bus.quota("youtube").used == youtube.units - 1


@pytest.mark.parametrize("url", ["@nobody", "https://www.youtube.com/c/nobody", "UC" + "n" * 22])
def test_a_channel_that_is_not_there_is_told(
    bus: TestBus, channel: Callable[[int], Any], url: str
) -> None:
    youtube = channel(1)
    youtube.youtube.serve("/v3/search", lambda _: {})

    with pytest.raises(TaskFailed) as failed:
        bus.call(CHANNEL, url)

    assert (failed.value.code, failed.value.tries) == ("channel_not_found", 1)


# what can go wrong


def test_without_a_key_the_setting_is_named(bus: TestBus, youtube: Any) -> None:
    with pytest.raises(TaskFailed, match="MENOS_YOUTUBE_API_KEY") as failed:
        bus.call(PLAYLIST, LIST_URL)

    assert failed.value.code == "api_key_missing"
    assert youtube.asked == []


def test_a_playlist_that_is_not_there_is_told(
    bus: TestBus, channel: Callable[[int], Any], recorded: Callable[[str], bytes]
) -> None:
    youtube = channel(0)
    answer = recorded("data-api-v3/errors/404_playlistNotFound.json")
    youtube.youtube.forget("/v3/playlistItems")
    youtube.youtube.answer("/v3/playlistItems", answer, status=404)

    with pytest.raises(TaskFailed) as failed:
        bus.call(PLAYLIST, LIST_URL)

    assert (failed.value.code, failed.value.tries) == ("playlist_not_found", 1)
    # It was asked, so it was paid for.
    assert bus.quota("youtube").used == 1


@pytest.mark.parametrize("units", [1, 3])
def test_a_quota_that_ends_in_the_middle_costs_no_page_twice(
    channel: Callable[[int], Any], vault: Vault, monkeypatch: pytest.MonkeyPatch, units: int
) -> None:
    youtube = channel(51)
    monkeypatch.setenv("MENOS_YOUTUBE_QUOTA_LIMIT", str(units))
    poor = TestBus(menos_youtube.plugin)
    call = (PLAYLIST, (), {"url": LIST_URL, "priority": True}, "one-call")
    waiting = poor.app.run_in_place(*call)
    monkeypatch.setenv("MENOS_YOUTUBE_QUOTA_LIMIT", "1000")
    rich = TestBus(menos_youtube.plugin)

    ended = rich.app.run_in_place(*call)

    assert waiting.result.code == "waiting_for_quota"
    assert ended.result["stored"] == 51
    assert youtube.units == 2 + 2
    assert len(youtube.requests("/v3/playlistItems")) == 2


def test_a_long_listing_gives_way_and_goes_on_where_it_was(
    bus: TestBus, channel: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    youtube = channel(51)
    call = (CHANNEL, (), {"url": "@somebody", "limit": 200}, "one-call")
    monkeypatch.setattr(list_archive, "_SLICE", 0)

    # One answer each time: the channel, 2 pages, and twice the metadata of up to 50 videos.
    put_back = [bus.app.run_in_place(*call).result for _ in range(4)]
    ended = bus.app.run_in_place(*call)

    assert {each.code for each in put_back} == {"listing"}
    assert [each.progress for each in put_back] == [
        None,
        ("listing", 50, 51),
        ("metadata", 0, 51),
        ("metadata", 50, 51),
    ]
    assert ended.result["stored"] == 51
    assert youtube.units == bus.quota("youtube").used == 5


def test_recorded_pages_are_read(
    bus: TestBus, channel: Callable[[int], Any], recorded: Callable[[str], bytes]
) -> None:
    youtube = channel(0)
    pages = [
        recorded(f"data-api-v3/playlist_items_playlist_items_paged_{number}.json")
        for number in (1, 2)
    ]
    youtube.youtube.forget("/v3/playlistItems")
    youtube.youtube.answer("/v3/playlistItems", *pages)
    items = [item for page in pages for item in json.loads(page)["items"]]
    youtube.ids = [item["snippet"]["resourceId"]["videoId"] for item in items]

    report = bus.call(PLAYLIST, LIST_URL)

    assert [video["video_id"] for video in report["videos"]] == youtube.ids
    assert report["total"] == 13
    assert youtube.requests("/v3/playlistItems")[1].query["pageToken"] == "CAoQAA"


# night after night


def test_a_video_without_captions_is_looked_at_once_and_the_run_is_a_success(
    bus: TestBus, channel: Callable[[int], Any], answers: Any, vault: Vault
) -> None:
    youtube = channel(2)
    youtube.youtube.answer("/youtubei/v1/player", answers.player())
    first = bus.call(CHANNEL, "@somebody")
    youtube.youtube.asked.clear()

    second = bus.call(CHANNEL, "@somebody")

    assert statuses(first) == ["failed", "failed"]
    assert (second["status"], statuses(second)) == ("success", ["skipped", "skipped"])
    assert second["videos"][0]["error"]["code"] == "no_transcript"
    assert second["videos"][0]["content_id"]
    assert youtube.requests("/watch") == []
    assert youtube.units == 2


def test_a_new_video_without_captions_is_looked_at_again_the_same_day(
    bus: TestBus, channel: Callable[[int], Any], answers: Any, vault: Vault
) -> None:
    young = datetime.now(UTC) - timedelta(minutes=5)
    looked = {"updated_at": datetime.now(UTC) - timedelta(hours=7), "id": "x" * 32}
    named = {"resource_key": "yt:x", "content_type": "youtube", "title": "X"}
    times = {"created_at": young, "published_at": young}

    assert _is_due(Content(**named, **looked, **times))
    old = {"created_at": young, "published_at": datetime(2020, 1, 1, tzinfo=UTC)}
    assert not _is_due(Content(**named, **looked, **old))


def test_private_videos_cost_nothing_night_after_night(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(2)
    youtube.private.update(youtube.ids)

    for _ in range(3):
        bus.call(PLAYLIST, LIST_URL)

    assert youtube.requests("/v3/videos") == []


def test_what_a_call_kept_of_its_list_goes_when_it_has_ended(
    bus: TestBus, channel: Callable[[int], Any], vault: Vault
) -> None:
    youtube = channel(3)
    lists = Path(vault.settings.objects) / "youtube" / "lists"
    youtube.youtube.forget("/v3/videos")
    failed = bus.app.run_in_place(CHANNEL, (), {"url": "@somebody"}, "one-call")
    kept = {path.name for path in lists.rglob("*.json")}
    youtube.youtube.serve("/v3/videos", youtube._videos)

    done = bus.app.run_in_place(CHANNEL, (), {"url": "@somebody"}, "one-call")

    assert not failed.successful()
    assert kept == {"channel.json", "page-0001.json", "unknown.json"}
    assert done.result["stored"] == 3
    assert list(lists.rglob("*.json")) == []


def test_stored_videos_are_processed_when_asked_and_nothing_else(
    bus: TestBus, channel: Callable[[int], Any], vault: Vault
) -> None:
    youtube = channel(2)
    bus.call(CHANNEL, "@somebody", limit=1)
    both = TestBus(menos_youtube.plugin, menos_content.plugin)

    report = both.call(CHANNEL, "@somebody", process=["embed"])

    assert statuses(report) == ["skipped", "stored"]
    processed = [video["process_task_id"] for video in report["videos"]]
    assert len({*processed}) == 2
    entry = both.app.ledger.find(processed[0])
    assert entry.message["body"][1]["content_id"] == content_id(f"yt:{youtube.ids[0]}")


def test_an_operation_that_is_not_there_is_refused_before_anything_is_asked(
    bus: TestBus, channel: Callable[[int], Any], vault: Vault
) -> None:
    youtube = channel(2)
    both = TestBus(menos_youtube.plugin, menos_content.plugin)

    with pytest.raises(TaskFailed, match="process: operations") as failed:
        both.call(CHANNEL, "@somebody", process=["embed", "bogus"])
    with pytest.raises(TaskFailed, match=r"unknown task 'tasks\.process_content'"):
        bus.call("tasks.ingest_youtube", youtube.ids[0], process=["embed"])

    assert failed.value.code == "invalid_call"
    assert youtube.youtube.asked == []


# what YouTube should not send

ODD = [None, "abc", 5, [], {}, ["x"], [[]], {"a": None}]


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v3/playlistItems", "items"),
        ("/v3/playlistItems", "pageInfo"),
        ("/v3/playlistItems", "nextPageToken"),
        ("/v3/videos", "items"),
        ("/v3/channels", "items"),
    ],
)
def test_odd_data_never_fails_with_an_internal_error(
    bus: TestBus, channel: Callable[[int], Any], path: str, field: str, odd: Any
) -> None:
    youtube = channel(1)
    real = youtube.youtube._functions[path]
    youtube.youtube.serve(path, lambda asked: {**json.loads(real(asked).body), field: odd})

    done = bus.app.run_in_place(CHANNEL, (), {"url": "@somebody"})

    assert done.successful() or done.result.code == "channel_not_found"


@pytest.mark.parametrize("part", ["snippet", "contentDetails"])
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_items_are_left_out_or_read_as_far_as_they_go(
    bus: TestBus, channel: Callable[[int], Any], part: str, odd: Any
) -> None:
    youtube = channel(2)
    real = youtube.youtube._functions["/v3/playlistItems"]

    def page(asked: Any) -> dict[str, Any]:
        answer = json.loads(real(asked).body)
        answer["items"][0][part] = odd
        return dict(answer)

    youtube.youtube.serve("/v3/playlistItems", page)

    report = bus.call(PLAYLIST, LIST_URL)

    assert report["videos"][-1]["video_id"] == youtube.ids[1]
    assert report["videos"][-1]["status"] == "stored"


def test_half_a_character_in_a_title_harms_nobody(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(2)
    youtube.title = "\x1b]0;half \ud83d of it\n"

    report = bus.call(PLAYLIST, LIST_URL)

    assert report["stored"] == 2
    json.dumps(report, ensure_ascii=False).encode()
    assert "\x1b" not in report["videos"][0]["title"]


def test_an_answer_that_cannot_be_read_is_asked_for_again(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(1)
    youtube.youtube.forget("/v3/playlistItems")
    youtube.youtube.answer("/v3/playlistItems", "[" * 100_000, "<html>", {"items": []})

    assert bus.call(PLAYLIST, LIST_URL)["videos"] == []
    assert len(youtube.requests("/v3/playlistItems")) == 3


def test_more_than_was_taken_is_told(bus: TestBus, channel: Callable[[int], Any]) -> None:
    channel(51)

    assert bus.call(PLAYLIST, LIST_URL, limit=3)["more"] is True
    assert bus.call(PLAYLIST, LIST_URL, limit=51)["more"] is False
    assert bus.call(CHANNEL, "@somebody", since="20260530", limit=3)["more"] is False


def test_a_call_that_ends_before_its_list_is_complete_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    with Vault() as vault:
        call, other = (list_archive.ListArchive(name, vault) for name in ("call", "call-2"))
        for archive in (call, other):
            archive.answer("page-0001.json", lambda: b"{}")

        call.delete()

        assert vault.objects.keys("youtube/lists") == ["youtube/lists/call-2/page-0001.json"]
