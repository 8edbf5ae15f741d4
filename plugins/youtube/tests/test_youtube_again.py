"""An ingest that runs again, and one whose video is deleted meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from fake_youtube import Answer, Asked
from menos_bus.testing import TestBus
from menos_vault import Vault, close_vault, content_id, open_vault
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server

VIDEO = "GJLlxj_dtq8"
CONTENT = content_id(f"yt:{VIDEO}")


def ended(bus: TestBus, call: str, **kwargs: Any) -> Any:
    """Run a call under an id, as often as it is delivered."""
    return bus.app.run_in_place("tasks.ingest_youtube", (VIDEO,), kwargs, task_id=call).result


def test_an_ingest_does_not_store_again_what_was_deleted_since(
    bus: TestBus, talking: Any, vault: Vault
) -> None:
    first = ended(bus, "first")
    vault.delete(CONTENT)
    talking.asked.clear()

    failed = ended(bus, "first")

    assert failed.code == "content_not_found"
    assert f"video {VIDEO} was deleted after this call had stored it" in failed.message
    assert (talking.asked, vault.records.counts().contents) == ([], 0)

    assert ended(bus, "second") == first
    assert ended(bus, "first") == first


@pytest.mark.parametrize("arguments", [{"title": "Old"}, {"refresh": True}])
def test_an_ingest_does_not_put_what_it_stored_in_the_place_of_what_a_later_call_stored(
    bus: TestBus, talking: Any, vault: Vault, arguments: dict[str, Any]
) -> None:
    ended(bus, "earlier")
    ended(bus, "first", **arguments)
    ended(bus, "second", title="New", transcript="Words of my own.")
    stored = vault.records.get_content(CONTENT)
    talking.asked.clear()

    again = ended(bus, "first", **arguments)

    assert again["title"] == "New"
    assert vault.records.get_content(CONTENT) == stored
    assert talking.asked == []


def test_a_call_with_the_id_of_one_that_wanted_something_else_is_another_call(
    bus: TestBus, talking: Any, vault: Vault
) -> None:
    for title in ("Old", "New"):
        ended(bus, "weekly", title=title)

    assert vault.records.get_content(CONTENT).title == "New"


def test_a_call_that_found_no_transcript_looks_for_it_when_it_is_taken_up_again(
    bus: TestBus, talking: Any, vault: Vault, answers: Any
) -> None:
    talking.answer("/youtubei/v1/player", answers.player())
    assert ended(bus, "first").code == "no_transcript"
    assert vault.records.get_content(CONTENT).status == "no_transcript"
    talking.answer("/youtubei/v1/player", answers.player("en"))

    assert ended(bus, "first")["status"] == "success"

    assert vault.records.get_content(CONTENT).status == "stored"


@pytest.mark.parametrize("changed", [False, True])
def test_a_video_that_is_deleted_while_it_is_ingested_does_not_come_back(
    bus: TestBus, talking: Any, vault: Vault, answers: Any, changed: bool
) -> None:
    ended(bus, "first")
    captions = answers.CAPTIONS.replace("the end", "its end") if changed else answers.CAPTIONS

    def delete(asked: Asked) -> Answer:
        vault.delete(CONTENT)
        return Answer(captions.encode())

    talking.serve("/api/timedtext", delete)

    failed = ended(bus, "second", refresh=True)

    assert failed.code == "content_not_found"
    assert f"video {VIDEO} was deleted while it was ingested" in failed.message
    assert vault.records.counts().contents == 0
    assert vault.objects.keys(f"youtube/{VIDEO}") == []


def test_an_ingest_keeps_its_objects_beside_one_whose_video_was_deleted(
    bus: TestBus, talking: Any, vault: Vault, answers: Any
) -> None:
    ended(bus, "first")
    archived, discarded = Event(), Event()
    asked: list[Asked] = []

    def captions(request: Asked) -> Answer:
        asked.append(request)
        if len(asked) == 1:
            vault.delete(CONTENT)
            # Without a title, it asks for one between storing the captions and the record.
            talking.answer("/youtubei/v1/player", answers.player("en", title=None))
            talking.serve("/oembed", title)
            later.append(pool.submit(ended, bus, "later"))
            assert archived.wait(30)
        return Answer(answers.CAPTIONS.encode())

    def title(_: Asked) -> Answer:
        archived.set()
        assert discarded.wait(30)
        return Answer(json.dumps({"title": "A video"}).encode())

    talking.serve("/api/timedtext", captions)
    later: list[Future[Any]] = []
    with ThreadPoolExecutor(1) as pool:
        try:
            assert ended(bus, "refresh", refresh=True).code == "content_not_found"
        finally:
            discarded.set()
        assert later[0].result(30)["status"] == "success"

    stored = vault.records.get_content(CONTENT)
    assert {role for role, key in stored.objects.items() if not vault.objects.exists(key)} == set()


@pytest.fixture(params=["folder", "bucket"])
def anywhere(
    request: pytest.FixtureRequest, bus: TestBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Vault]:
    """The bus's vault, with objects in a folder and at an S3 server."""
    server = S3Server(tmp_path / "s3")
    if request.param == "bucket":
        server.start()
        monkeypatch.setenv("MENOS_VAULT_OBJECTS", "s3://menos/vault")
        monkeypatch.setenv("MENOS_VAULT_S3_ENDPOINT", server.url)
        monkeypatch.setenv("MENOS_VAULT_S3_ACCESS_KEY", ACCESS_KEY)
        monkeypatch.setenv("MENOS_VAULT_S3_SECRET_KEY", SECRET_KEY)
        close_vault()
    yield open_vault()
    server.kill()


def test_of_a_video_that_is_deleted_no_answer_is_left_and_others_keep_theirs(
    bus: TestBus, talking: Any, anywhere: Vault
) -> None:
    others = [f"youtube/{name}/player.json" for name in ("aaaaaaaaaaa", "lists/1")]
    for key in others:
        anywhere.objects.put(key, b"{}")
    ended(bus, "first")
    archived = {*anywhere.objects.keys(f"youtube/{VIDEO}")}
    unnamed = archived - {*anywhere.records.get_content(CONTENT).objects.values()}
    assert f"youtube/{VIDEO}/watch.html.gz" in unnamed

    anywhere.delete(CONTENT)

    assert anywhere.objects.keys("youtube") == others
