"""YouTube through a real bus: a playlist of 500 videos, a kill in its middle, what follows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fake_youtube import FakeChannel, FakeYouTube
from running import RunningBus, poll

PLAYLIST = "tasks.ingest_youtube_playlist"
LIST_ID = "PL" + "p" * 32


def test_500_videos_cost_20_units_though_the_bus_is_killed_in_the_middle(
    youtube: FakeYouTube, start_at: Callable[[], RunningBus]
) -> None:
    channel = FakeChannel(youtube, 500)
    bus = start_at()
    task_id = bus.submit(PLAYLIST, LIST_ID)

    def some() -> dict[str, Any] | None:
        outcome = bus.outcome(task_id)
        progress = outcome.get("progress", {})
        return outcome if progress.get("stage") == "ingesting" and progress["done"] > 20 else None

    seen = poll(some, what="some videos")
    bus.kill()

    again = start_at()
    outcome = again.outcome(task_id, timeout=120)

    assert (seen["state"], seen["progress"]["total"]) == ("PROGRESS", 500)
    assert seen["progress"]["done"] < 500
    assert outcome["state"] == "SUCCESS", outcome
    report = outcome["result"]
    assert (report["status"], report["stored"], report["failed"]) == ("success", 500, 0)
    assert [video["video_id"] for video in report["videos"]] == channel.ids
    assert len({video["content_id"] for video in report["videos"]}) == 500
    asked = {path: len(channel.requests(f"/v3/{path}")) for path in ("playlistItems", "videos")}
    assert asked == {"playlistItems": 10, "videos": 10}
    told: dict[str, Any] = json.loads(again.cli("quota", "youtube", "--json").stdout)
    assert told["units_used"] == channel.units == 20


def test_a_channel_that_is_stored_and_processed_is_found_at_the_second(
    youtube: FakeYouTube, start_at: Callable[[], RunningBus], model: None
) -> None:
    channel = FakeChannel(youtube, 2)
    youtube.answer(
        "/api/timedtext",
        "<transcript>"
        '<text start="0" dur="5">Welcome to the show about bread and how it is baked.</text>'
        '<text start="61.5" dur="5">The gravity of the moon pulls the sea, and it rises.</text>'
        '<text start="90" dur="5">Thank you all for listening, and until the next time.</text>'
        "</transcript>",
    )
    bus = start_at(MENOS_CONTENT_CHUNK_TOKENS="16", MENOS_CONTENT_CHUNK_OVERLAP="0")

    report = bus.result("tasks.ingest_youtube_channel", "@somebody", process=["embed"])
    assert report["status"] == "success", json.dumps(report)
    for video in report["videos"]:
        assert bus.outcome(video["process_task_id"], timeout=60)["state"] == "SUCCESS"
    found = bus.result("tasks.semantic_search", "why are there tides?", limit=1)

    assert report["stored"] == 2
    (best,) = found["results"]
    assert best["start"] == 61.5
    assert best["url"] in {f"https://www.youtube.com/watch?v={each}&t=61s" for each in channel.ids}
    assert bus.result("tasks.ingest_youtube_channel", "@somebody")["skipped"] == 2
