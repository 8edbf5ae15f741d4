"""What the plugin pays for, and what happens when nothing is left."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

import menos_youtube.plugin
from menos_bus import PluginError, TaskFailed
from menos_bus.testing import TestBus
from menos_vault import Vault
from menos_youtube.costs import COSTS, GENERAL

INGEST = "tasks.ingest_youtube"


@pytest.fixture
def spent(channel: Callable[[int], Any], recorded: Callable[[str], bytes]) -> Callable[[], Any]:
    """A Data API whose quota is spent."""

    def make() -> Any:
        youtube = channel(2)
        youtube.youtube.forget("/v3/videos")
        body = recorded("data-api-v3/errors/403_quotaExceeded.json")
        youtube.youtube.answer("/v3/videos", body, status=403)
        return youtube

    return make


def failure(bus: TestBus, *args: Any, **kwargs: Any) -> TaskFailed:
    with pytest.raises(TaskFailed) as failed:
        bus.call(INGEST, *args, **kwargs)
    return failed.value


def test_a_new_video_costs_a_unit_and_a_stored_one_nothing(
    bus: TestBus, channel: Callable[[int], Any]
) -> None:
    youtube = channel(1)

    for _ in range(2):
        bus.call(INGEST, youtube.ids[0])

    assert bus.quota("youtube").used == youtube.units == 1


def test_what_youtube_calls_spent_is_asked_no_more(bus: TestBus, spent: Callable[[], Any]) -> None:
    youtube = spent()

    codes = [
        failure(bus, youtube.ids[0]).code,
        failure(bus, youtube.ids[1]).code,
        failure(bus, youtube.ids[1], priority=True).code,
    ]

    assert codes == ["quota_exceeded", "quota_exceeded", "waiting_for_quota"]
    assert youtube.units == bus.quota("youtube").used == 1
    assert "exceeded" in (bus.quota("youtube").closed or "")


def test_without_units_nothing_is_stored_as_if_it_had_no_transcript(
    bus: TestBus, spent: Callable[[], Any], vault: Vault
) -> None:
    youtube = spent()

    failure(bus, youtube.ids[0])

    assert vault.records.counts().contents == 0


def test_the_reserve_is_for_priority(
    channel: Callable[[int], Any], vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_QUOTA_LIMIT", "3")
    monkeypatch.setenv("MENOS_YOUTUBE_QUOTA_RESERVE", "2")
    youtube = channel(4)
    bus = TestBus(menos_youtube.plugin)
    bus.call(INGEST, youtube.ids[0])

    assert failure(bus, youtube.ids[1]).code == "quota_exceeded"
    bus.call(INGEST, youtube.ids[1], priority=True)
    bus.call(INGEST, youtube.ids[2], priority=True)
    assert failure(bus, youtube.ids[3], priority=True).code == "waiting_for_quota"
    assert youtube.units == bus.quota("youtube").used == 3


def test_by_policy_other_calls_wait_too(
    channel: Callable[[int], Any], vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_QUOTA_LIMIT", "1")
    monkeypatch.setenv("MENOS_YOUTUBE_QUOTA_POLICY", "wait")
    youtube = channel(2)
    bus = TestBus(menos_youtube.plugin)
    bus.call(INGEST, youtube.ids[0])

    assert failure(bus, youtube.ids[1]).code == "waiting_for_quota"


def test_a_request_that_never_left_is_given_back_but_one_that_failed_is_not(
    bus: TestBus, channel: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    youtube = channel(1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("MENOS_YOUTUBE_API_URL", nobody)
    failure(bus, youtube.ids[0])
    unsent = bus.quota("youtube").used

    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        monkeypatch.setenv("MENOS_YOUTUBE_API_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("MENOS_YOUTUBE_TIMEOUT", "0.05")
        tries = failure(bus, youtube.ids[0]).tries

    assert unsent == 0
    assert bus.quota("youtube").used == tries == 6


def test_the_buckets_are_those_of_youtube_s_table(bus: TestBus) -> None:
    declared = {name: bus.quotas[name].limit for name in bus.quotas}

    assert declared == {"youtube": 10_000, "youtube.search": 100, "youtube.transcripts": None}
    general = bus.quotas["youtube"]
    assert (general.reserve, general.zone, general.policy) == (1_000, "America/Los_Angeles", "fail")
    assert COSTS["videos.list"] == COSTS["playlistItems.list"] == (GENERAL, 1)
    assert COSTS["search.list"].bucket.name == "youtube.search"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("QUOTA_RESERVE", "10001", "QUOTA_RESERVE is more than MENOS_YOUTUBE_QUOTA_LIMIT"),
        ("QUOTA_LIMIT", "-1", "MENOS_YOUTUBE_QUOTA_LIMIT"),
        ("QUOTA_ZONE", "Mars", "no time zone 'Mars'"),
        ("QUOTA_ZONE", "America", "no time zone 'America'"),
        ("QUOTA_POLICY", "maybe", "MENOS_YOUTUBE_QUOTA_POLICY"),
        ("TRANSCRIPT_RATE", "-1", "MENOS_YOUTUBE_TRANSCRIPT_RATE"),
        ("API_KEY", "two words", "MENOS_YOUTUBE_API_KEY"),
        ("API_KEY", "schlüssel", "MENOS_YOUTUBE_API_KEY"),
        ("PROXY", "socks5://127.0.0.1:1080", "MENOS_YOUTUBE_PROXY"),
        ("PROXY", "127.0.0.1:3128", "MENOS_YOUTUBE_PROXY"),
    ],
)
def test_a_wrong_setting_fails_the_plugin_and_is_named(
    youtube: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"MENOS_YOUTUBE_{name}", value)

    with pytest.raises(PluginError, match=told):
        TestBus(menos_youtube.plugin)


def test_without_a_rate_there_is_no_pace(
    youtube: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_TRANSCRIPT_RATE", "0")

    assert "youtube.transcripts" not in TestBus(menos_youtube.plugin).quotas


def test_transcripts_keep_their_pace_and_a_call_far_behind_leaves_its_worker(
    talking: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENOS_YOUTUBE_TRANSCRIPT_RATE", "0.01")
    bus = TestBus(menos_youtube.plugin)

    for number in range(10):
        bus.call(INGEST, f"v{number:010}")
    late = failure(bus, "v9999999999")

    assert (late.code, late.tries) == ("waiting_for_quota", 0)
    assert bus.quota("youtube.transcripts").used == 10
    # Supplied ones are not YouTube's.
    bus.call(INGEST, "v9999999999", transcript="Mine", title="Mine")


def test_a_key_from_a_file_may_end_in_a_line_end(
    bus: TestBus, channel: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    youtube = channel(1)
    monkeypatch.setenv("MENOS_YOUTUBE_API_KEY", " s3cret\n")

    bus.call(INGEST, youtube.ids[0])

    assert youtube.youtube.asked[0].headers["X-Goog-Api-Key"] == "s3cret"


@pytest.mark.parametrize(
    ("status", "reason"), [(400, "invalidPageToken"), (403, "forbidden"), (302, "moved")]
)
def test_what_nobody_would_get_is_paid_for_once(
    bus: TestBus, channel: Callable[[int], Any], status: int, reason: str
) -> None:
    youtube = channel(1)
    youtube.youtube.forget("/v3/videos")
    error = {"error": {"code": status, "message": "No.", "errors": [{"reason": reason}]}}
    youtube.youtube.answer("/v3/videos", error, status=status)

    failed = failure(bus, youtube.ids[0])

    assert (failed.code, failed.tries) == ("api_refused", 1)
    assert reason in failed.message
    assert bus.quota("youtube").used == 1
