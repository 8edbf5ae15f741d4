"""The tasks with objects at a real S3 endpoint."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

import menos_content.plugin
from menos_bus import TaskFailed
from menos_bus.testing import TestBus
from menos_vault import close_vault, open_vault
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server


@pytest.fixture
def server(tmp_path):
    server = S3Server(tmp_path / "s3")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def bus(tmp_path, monkeypatch, server, model):
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MENOS_VAULT_OBJECTS", "s3://menos/vault")
    monkeypatch.setenv("MENOS_VAULT_S3_ENDPOINT", server.url)
    monkeypatch.setenv("MENOS_VAULT_S3_ACCESS_KEY", ACCESS_KEY)
    monkeypatch.setenv("MENOS_VAULT_S3_SECRET_KEY", SECRET_KEY)
    yield TestBus(menos_content.plugin)
    close_vault()


def store(bus, text):
    stored = bus.call("tasks.store_content", text, "Note", resource_key="doc:x")
    return stored["content_id"]


def test_a_text_is_kept_in_the_bucket_and_processed_from_there(bus, tmp_path):
    identity = store(bus, "Grüße, 世界 🎉")

    bus.call("tasks.process_content", identity)

    kept = tmp_path / "s3/menos/vault" / f"content/{identity}/text.txt"
    assert kept.read_text() == "Grüße, 世界 🎉"
    assert [chunk.text for chunk in open_vault().records.chunks(identity)] == ["Grüße, 世界 🎉"]


def test_what_is_shown_has_links_that_anybody_may_follow_for_a_while(bus, server):
    identity = store(bus, "Grüße, 世界 🎉")
    asked = datetime.now(UTC).replace(microsecond=0)

    shown = bus.call("tasks.show_content", identity, link_seconds=60)

    assert httpx.get(shown["links"]["text"], trust_env=False).text == "Grüße, 世界 🎉"
    assert shown["links"].keys() == shown["objects"].keys()
    until = datetime.fromisoformat(shown["links_until"])
    assert until >= asked + timedelta(seconds=60)
    assert "X-Amz-Expires=60&" in shown["links"]["text"]
    server.kill()
    shown = bus.call("tasks.show_content", identity, link_seconds=0)
    assert (shown["links"], shown["links_until"]) == ({}, None)


def test_an_endpoint_that_dies_leaves_nothing_half_written_and_a_second_call_repairs(bus, server):
    identity = store(bus, "Version 1.")
    bus.call("tasks.process_content", identity)
    server.kill()

    with pytest.raises(TaskFailed) as failed:
        store(bus, "Version 2.")

    assert (failed.value.code, failed.value.tries) == ("objects_unavailable", 8)
    assert "MENOS_VAULT_S3_ENDPOINT" in failed.value.message
    assert [chunk.text for chunk in open_vault().records.chunks(identity)] == ["Version 1."]

    server.start()
    store(bus, "Version 2.")
    bus.call("tasks.process_content", identity)

    assert [chunk.text for chunk in open_vault().records.chunks(identity)] == ["Version 2."]
    assert open_vault().records.get_content(identity).status == "processed"
