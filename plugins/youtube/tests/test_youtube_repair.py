"""A second ingest: nothing is fetched twice, what is missing is completed, metadata is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from menos_bus import TaskFailed
from menos_bus.testing import TestBus
from menos_vault import Content, Vault, content_id
from menos_youtube import archive

TASK = "tasks.ingest_youtube"
VIDEO = "GJLlxj_dtq8"
TRANSCRIPT_PATHS = ["/watch", "/youtubei/v1/player", "/api/timedtext"]
SRT = "1\n00:00:01,000 --> 00:00:02,000\nMy own\n\n2\n00:00:02,000 --> 00:00:04,000\nwords\n"


@pytest.fixture
def metered(talking: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server that also has the video's metadata at the Data API."""
    monkeypatch.setenv("MENOS_YOUTUBE_API_KEY", "key")
    talking.answer("/v3/videos", _item(title="From the API"))
    return talking


@pytest.mark.parametrize(
    ("lost", "asked"),
    [
        ("text.txt", []),
        ("segments.json", []),
        ("captions.xml", TRANSCRIPT_PATHS),
        ("data-api.json", ["/v3/videos"]),
        ("player.json", []),
        ("watch.html.gz", []),
    ],
)
def test_of_a_lost_object_only_what_is_missing_is_made_again(
    bus: TestBus, metered: Any, vault: Vault, lost: str, asked: list[str]
) -> None:
    first = bus.call(TASK, VIDEO)
    folder = _folder(vault)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    record = _record(vault)
    assert lost in before
    (folder / lost).unlink()
    metered.asked.clear()

    assert bus.call(TASK, VIDEO) == first

    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    # The watch page and, with an API key, the player's answer have served their purpose.
    gone = {lost} if lost in ("player.json", "watch.html.gz") else set()
    assert metered.paths == asked
    assert after == {name: raw for name, raw in before.items() if name not in gone}
    assert _without_traces(_record(vault)) == _without_traces(record)

    metered.asked.clear()
    assert bus.call(TASK, VIDEO) == first
    assert metered.asked == []


@pytest.mark.parametrize("refresh", [False, True])
def test_a_text_that_another_plugin_stored_under_the_video_s_key_is_left_alone(
    bus: TestBus, metered: Any, vault: Vault, refresh: bool
) -> None:
    vault.objects.put("content/1/text.txt", b"My own notes on it.")
    notes = {"content_type": "text", "title": "Notes", "objects": {"text": "content/1/text.txt"}}
    vault.records.put_content(f"yt:{VIDEO}", **notes)
    before = _record(vault)

    with pytest.raises(TaskFailed, match=f"'yt:{VIDEO}' is a 'text' content") as failed:
        bus.call(TASK, VIDEO, refresh=refresh)

    assert (failed.value.code, failed.value.tries) == ("resource_key_taken", 1)
    assert _record(vault) == before
    assert metered.asked == []


def test_everything_but_the_raw_answers_is_made_again_without_a_request(
    bus: TestBus, metered: Any, vault: Vault
) -> None:
    bus.call(TASK, VIDEO)
    folder = _folder(vault)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in (archive.TEXT, archive.SEGMENTS):
        (folder / name).unlink()
    metered.asked.clear()

    bus.call(TASK, VIDEO)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert metered.asked == []


def test_without_a_key_lost_metadata_comes_from_oembed_and_what_is_known_stays(
    bus: TestBus, talking: Any, vault: Vault
) -> None:
    first = bus.call(TASK, VIDEO)
    (_folder(vault) / archive.PLAYER).unlink()
    talking.answer("/oembed", {"title": "By oEmbed", "author_name": "A channel"})
    talking.asked.clear()

    assert bus.call(TASK, VIDEO) == first

    record = _record(vault)
    assert talking.paths == ["/oembed"]
    assert record.objects["metadata"].endswith("/oembed.json")
    assert record.metadata["duration_seconds"] == 61


def test_lost_captions_are_fetched_in_the_language_that_is_stored(
    bus: TestBus, talking: Any, vault: Vault, answers: Any
) -> None:
    talking.answer("/youtubei/v1/player", answers.player("en", "de"))
    bus.call(TASK, VIDEO, language="de")
    (_folder(vault) / archive.CAPTIONS).unlink()

    bus.call(TASK, VIDEO)

    asked = [asked.query["lang"] for asked in talking.asked if asked.path == "/api/timedtext"]
    assert asked == ["de", "de"]


@pytest.mark.parametrize(
    ("lost", "segments"),
    [
        ([archive.TEXT], [[0, 1, 1], [7, 2, 2]]),
        ([archive.SEGMENTS], [[0, 1, 1], [7, 2, 2]]),
        ([archive.SUPPLIED], [[0, 1, 1], [7, 2, 2]]),
        ([archive.SEGMENTS, archive.SUPPLIED], []),
    ],
)
def test_a_caller_s_transcript_is_never_replaced_by_youtube_s(
    bus: TestBus, talking: Any, vault: Vault, lost: list[str], segments: list[Any]
) -> None:
    bus.call(TASK, VIDEO, transcript=SRT, title="T")
    for name in lost:
        (_folder(vault) / name).unlink()

    bus.call(TASK, VIDEO)

    record = _record(vault)
    assert talking.asked == []
    assert vault.objects.get(record.objects["text"]) == b"My own\nwords"
    assert json.loads(vault.objects.get(record.objects["segments"])) == segments
    assert record.metadata["transcript_source"] == "caller"


def test_a_repair_leaves_a_processed_video_processed_and_a_new_text_does_not(
    bus: TestBus, talking: Any, vault: Vault
) -> None:
    bus.call(TASK, VIDEO)
    vault.records.update_content(_record(vault).id, status="processed", summary="S")
    for name in (archive.TEXT, archive.CAPTIONS):
        (_folder(vault) / name).unlink()
        bus.call(TASK, VIDEO)
        assert (_record(vault).status, _record(vault).summary) == ("processed", "S")

    bus.call(TASK, VIDEO, refresh=True)
    assert _record(vault).status == "processed"

    bus.call(TASK, VIDEO, transcript="Other words")
    assert (_record(vault).status, _record(vault).summary) == ("stored", None)


def test_a_models_tags_outlive_a_repair_and_go_with_the_text_they_were_made_of(
    bus: TestBus, metered: Any, vault: Vault
) -> None:
    metered.answer("/v3/videos", _item(title="From the API", tags=["mine"]))
    identity = bus.call(TASK, VIDEO)["content_id"]
    vault.records.update_content(identity, metadata={"digest": {"tags": ["Mine", "phones"]}})
    (_folder(vault) / "data-api.json").unlink()
    metered.answer("/v3/videos", _item(title="From the API", tags=["mine", "new"]))

    bus.call(TASK, VIDEO)
    assert _record(vault).tags == ["mine", "new", "phones"]

    bus.call(TASK, VIDEO, transcript=SRT)
    assert _record(vault).tags == ["mine", "new"]


@pytest.mark.parametrize("by", ["data api", "player", "oembed"])
def test_metadata_of_a_video_without_transcript_is_kept_until_there_is_one(
    bus: TestBus, talking: Any, vault: Vault, answers: Any, monkeypatch: Any, by: str
) -> None:
    private = {"status": "LOGIN_REQUIRED", "reason": "This video is private"}
    known = "A video" if by == "player" else None
    talking.answer("/youtubei/v1/player", answers.player(title=known, playabilityStatus=private))
    if by == "data api":
        monkeypatch.setenv("MENOS_YOUTUBE_API_KEY", "key")
        talking.answer("/v3/videos", _item(title="A video"))
    if by == "oembed":
        talking.answer("/oembed", {"title": "A video"})

    for _ in range(2):
        with pytest.raises(TaskFailed) as caught:
            bus.call(TASK, VIDEO)
        record = _record(vault)
        assert (caught.value.code, caught.value.tries) == ("video_private", 1)
        assert caught.value.message.endswith(f"; its metadata is kept as content {record.id}")
        assert (record.status, record.title) == ("no_transcript", "A video")
        assert record.error is not None
        assert caught.value.message.startswith(record.error)
        assert vault.objects.exists(record.objects["metadata"])
        assert "text" not in record.objects

    talking.answer("/youtubei/v1/player", answers.player("en", title=known))
    talking.answer("/v3/videos", "asked twice", status=500)
    result = bus.call(TASK, VIDEO)

    record = _record(vault)
    assert result == {"status": "success", "content_id": record.id, "title": "A video"}
    assert (record.status, record.error) == ("stored", None)
    assert vault.objects.exists(record.objects["text"])
    assert talking.paths.count("/v3/videos") == (by == "data api")
    assert talking.paths.count("/oembed") == (by == "oembed")


def test_of_a_video_that_nobody_knows_nothing_is_stored(
    bus: TestBus, talking: Any, vault: Vault, recorded: Any
) -> None:
    answer = recorded("transcript-api/youtube_video_unavailable.innertube.json.static")
    talking.answer("/youtubei/v1/player", answer)

    with pytest.raises(TaskFailed) as caught:
        bus.call(TASK, VIDEO, title="My title")

    assert caught.value.code == "video_unavailable"
    assert "content" not in caught.value.message
    assert vault.records.counts().contents == 0


def test_a_video_that_became_private_keeps_its_transcript(
    bus: TestBus, talking: Any, vault: Vault, answers: Any
) -> None:
    bus.call(TASK, VIDEO)
    before = _record(vault)
    private = {"status": "LOGIN_REQUIRED", "reason": "This video is private"}
    talking.answer("/youtubei/v1/player", answers.player(playabilityStatus=private))

    with pytest.raises(TaskFailed, match="video_private"):
        bus.call(TASK, VIDEO, refresh=True)

    assert _record(vault) == before
    talking.asked.clear()
    assert bus.call(TASK, VIDEO)["status"] == "success"
    assert talking.asked == []


@pytest.mark.parametrize("state", ["live", "upcoming"])
def test_a_live_video_is_not_asked_for_a_transcript_until_it_has_ended(
    bus: TestBus, metered: Any, vault: Vault, state: str
) -> None:
    metered.answer("/v3/videos", _item(title="Show", liveBroadcastContent=state))

    for _ in range(2):
        with pytest.raises(TaskFailed) as caught:
            bus.call(TASK, VIDEO)
        assert caught.value.code == "live_now"
    # Asked again each time: what was archived of a live video is out of date.
    assert metered.paths == ["/v3/videos"] * 2
    assert _record(vault).status == "no_transcript"

    metered.answer("/v3/videos", _item(title="Show", liveBroadcastContent="none"))
    assert bus.call(TASK, VIDEO)["title"] == "Show"
    assert _record(vault).status == "stored"


def test_without_a_key_the_player_knows_that_a_video_is_live(
    bus: TestBus, talking: Any, vault: Vault, answers: Any
) -> None:
    player = answers.player("asr:en")
    player["videoDetails"]["isLive"] = True
    talking.answer("/youtubei/v1/player", player)

    with pytest.raises(TaskFailed) as caught:
        bus.call(TASK, VIDEO)

    assert (caught.value.code, caught.value.tries) == ("live_now", 1)
    assert talking.paths == TRANSCRIPT_PATHS[:2]


def test_a_caller_may_supply_the_transcript_of_a_video_that_the_data_api_does_not_know(
    bus: TestBus, metered: Any, vault: Vault
) -> None:
    metered.answer("/v3/videos", {"items": []})

    assert bus.call(TASK, VIDEO, transcript=SRT, title="Mine")["title"] == "Mine"


def test_a_refused_transcript_does_not_take_the_place_of_the_stored_one(
    bus: TestBus, youtube: Any, vault: Vault
) -> None:
    bus.call(TASK, VIDEO, transcript=SRT, title="T")

    for _ in range(2):
        with pytest.raises(TaskFailed, match="no_transcript"):
            bus.call(TASK, VIDEO, transcript="WEBVTT\n", title="T")

    assert vault.objects.get(_record(vault).objects["transcript"]) == SRT.encode()
    assert _record(vault).status == "stored"


def _item(**snippet: Any) -> dict[str, Any]:
    return {"items": [{"id": VIDEO, "snippet": snippet}]}


def _record(vault: Vault) -> Content:
    return vault.records.get_content(content_id(f"yt:{VIDEO}"))


def _without_traces(content: Content) -> dict[str, Any]:
    return content.model_dump(exclude={"updated_at", "stored_by"})


def _folder(vault: Vault) -> Path:
    """Where the objects of the video are."""
    return Path(vault.settings.objects) / "youtube" / VIDEO
