"""process_content with a model at an Ollama server."""

import pytest

import menos_content.plugin
from menos_bus import TaskFailed
from menos_bus.testing import TestBus
from menos_vault import close_vault, open_vault
from ollama_server import Model, ollama

TEXT = "".join(
    f"Steep tea number {n} in water of {n} degrees for {n} minutes, then drink it at once.\n\n"
    for n in range(200)
)


@pytest.fixture
def server():
    with ollama() as server:
        yield server


@pytest.fixture
def bus(tmp_path, monkeypatch, server):
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    monkeypatch.setenv("MENOS_VAULT_EMBEDDINGS", "ollama")
    monkeypatch.setenv("MENOS_VAULT_OLLAMA_URL", server.url)
    yield TestBus(menos_content.plugin)
    close_vault()


def store(bus, text=TEXT, **fields):
    return bus.call("tasks.store_content", text, "Tea", **fields)["content_id"]


def test_a_text_is_split_and_embedded_by_the_servers_model(bus, server):
    identity = store(bus)

    assert bus.call("tasks.process_content", identity, ["embed"]) == {"embed": "completed"}

    records, embeddings = open_vault().records, open_vault().embeddings
    chunks = records.chunks(identity)
    assert len(chunks) > 20
    assert max(embeddings.count_tokens(chunk.text) for chunk in chunks) <= 200
    vector = embeddings.embed_query("Steep tea number 77 in water of 77 degrees")
    assert any(
        "number 77" in hit.chunk.text for hit in records.search(vector, model=embeddings.model)
    )
    assert {len(body["input"]) for body in server.posts("/api/embed")[1:-1]} <= {*range(1, 33)}


def test_passages_fit_a_model_that_reads_little(bus, server):
    server.models["nomic-embed-text:latest"] = Model(64, context=96)
    identity = store(bus)

    bus.call("tasks.process_content", identity, ["embed"])

    embeddings = open_vault().embeddings
    counts = [embeddings.count_tokens(c.text) for c in open_vault().records.chunks(identity)]
    assert max(counts) <= embeddings.max_tokens < 75


def test_reindexing_to_a_model_that_reads_less_splits_anew(bus, server, monkeypatch):
    identity = store(bus)
    bus.call("tasks.process_content", identity)
    before = open_vault().records.chunk_set(identity).count
    monkeypatch.setenv("MENOS_VAULT_OLLAMA_MODEL", "small")
    server.models["small:latest"] = Model(64, context=96)
    close_vault()
    with pytest.raises(TaskFailed) as refused:
        bus.call("tasks.process_content", store(bus, "Another text."), ["embed"])
    assert refused.value.code == "embedding_mismatch"

    assert bus.call("tasks.reindex_content", missing=True)["failed"] == []

    vault = open_vault()
    counts = [vault.embeddings.count_tokens(c.text) for c in vault.records.chunks(identity)]
    assert max(counts) <= vault.embeddings.max_tokens < 75
    assert len(counts) > before
    assert {c.error for c in vault.records.list_contents()} == {None}
    assert bus.call("tasks.vault_stats")["statuses"] == {"processed": 2}


def test_a_server_that_is_down_is_tried_again_and_then_told(bus, monkeypatch):
    identity = store(bus, "Short.")
    monkeypatch.setenv("MENOS_VAULT_OLLAMA_URL", "http://127.0.0.1:9")
    close_vault()

    with pytest.raises(TaskFailed) as failed:
        bus.call("tasks.process_content", identity, ["embed"])

    assert (failed.value.code, failed.value.tries) == ("model_unavailable", 8)
    content = open_vault().records.get_content(identity)
    assert content.status == "failed"
    assert "MENOS_VAULT_OLLAMA_URL" in content.error
    assert open_vault().records.chunks(identity) == []


def test_a_server_that_comes_back_is_enough(bus, server):
    identity = store(bus, "Short.")
    server.next.extend([(503, {"error": "server busy"})] * 7)

    assert bus.call("tasks.process_content", identity, ["embed"]) == {"embed": "completed"}


def test_a_missing_model_is_no_reason_to_try_again(bus, monkeypatch):
    monkeypatch.setenv("MENOS_VAULT_OLLAMA_MODEL", "absent")
    monkeypatch.setenv("MENOS_VAULT_OLLAMA_PULL", "false")
    close_vault()

    with pytest.raises(TaskFailed) as failed:
        bus.call("tasks.process_content", store(bus), ["embed"])

    assert (failed.value.code, failed.value.tries) == ("model_missing", 1)
    assert "ollama pull absent" in failed.value.message
