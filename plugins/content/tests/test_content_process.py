"""tasks.process_content"""

import json

import pytest

import menos_content.plugin
from menos_bus import InvalidCall, Permanent, Retryable, TaskFailed
from menos_bus.testing import TestBus
from menos_content.operations import BUILT_IN
from menos_vault import close_vault, content_id, open_vault

TEXT = """# Bread

Sourdough bread rises because wild yeast and bacteria ferment the flour over many hours.
Bakers keep a starter alive by feeding it flour and water every day of the week.

## Baking

A hot oven with plenty of steam gives the loaf a thin crust that crackles while it cools.
Most bakers wait until the loaf is cold before they cut it with a long serrated knife.
Warm crumb is gummy, and the knife would only tear it into sticky pieces of dough.
Leftover slices make excellent toast for at least four or five days after the baking.
"""


@pytest.fixture
def bus(tmp_path, monkeypatch, model):
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path))
    yield TestBus(menos_content.plugin)
    close_vault()


def store(bus, text=TEXT, key="doc:x", **fields):
    fields = {"content_type": "markdown", "resource_key": key} | fields
    return bus.call("tasks.store_content", text, "Title", **fields)["content_id"]


def state_of(identity):
    records = open_vault().records
    content = records.get_content(identity)
    state = content.model_dump(exclude={"updated_at", "stored_by"})
    return state, records.chunks(identity), records.counts()


def test_a_text_is_stored_and_processed_by_one_call(bus):
    stored = bus.call("tasks.store_content", TEXT, "Title", process=["embed"])

    assert stored["processed"] == {"embed": "completed"}
    again = bus.call("tasks.store_content", TEXT, "Title", process=["embed", "summarize"])
    assert again["processed"] == {"embed": "skipped", "summarize": "completed"}
    content = open_vault().records.get_content(stored["content_id"])
    assert (content.status, again["content_id"]) == ("processed", content.id)
    assert "processed" not in bus.call("tasks.store_content", TEXT, "Title")
    with pytest.raises(InvalidCall):
        bus.call("tasks.store_content", TEXT, "Title", process=["fly"])


def test_a_text_that_comes_back_gets_its_summary_back(bus):
    identity = store(bus, process=["summarize"])
    store(bus, "Something else.")

    store(bus, process=["summarize"])

    assert open_vault().records.get_content(identity).summary


def test_processing_embeds_and_summarizes(bus):
    identity = store(bus)

    result = bus.call("tasks.process_content", identity)

    assert result == {"embed": "completed", "summarize": "completed"}
    content = open_vault().records.get_content(identity)
    assert content.status == "processed"
    sentences = content.summary.split(". ")
    assert len(sentences) == 5
    assert len(content.summary) <= 1200
    flat = " ".join(TEXT.split())
    places = [flat.index(sentence) for sentence in sentences]
    assert places == sorted(places)
    assert open_vault().records.counts().chunks == len(open_vault().records.chunks(identity)) > 0


def test_only_what_is_asked_for_is_done(bus):
    identity = store(bus)

    assert bus.call("tasks.process_content", identity, ["summarize"]) == {"summarize": "completed"}
    assert open_vault().records.counts().chunks == 0
    content = open_vault().records.get_content(identity)
    assert content.summary
    assert content.status == "stored"  # no search finds it

    assert bus.call("tasks.process_content", identity, ["embed", "embed"]) == {"embed": "completed"}
    assert open_vault().records.counts().chunks > 0


def test_processing_twice_leaves_what_once_leaves(bus):
    identity = store(bus, TEXT * 5)
    bus.call("tasks.process_content", identity)
    once = state_of(identity)

    store(bus, TEXT * 5)
    bus.call("tasks.process_content", identity)

    assert state_of(identity) == once


def test_a_changed_text_replaces_all_passages_of_the_old_one(bus):
    identity = store(bus, TEXT * 10)
    bus.call("tasks.process_content", identity)

    store(bus, "The moon circles the earth once in about twenty-seven days.")
    bus.call("tasks.process_content", identity)

    [chunk] = open_vault().records.chunks(identity)
    assert chunk.text == "The moon circles the earth once in about twenty-seven days."
    content = open_vault().records.get_content(identity)
    assert content.summary == chunk.text
    assert open_vault().records.counts().chunks == 1


def test_passages_of_a_transcript_know_their_second(bus):
    lines = [f"This is sentence number {n} of a long talk about topic {n}." for n in range(200)]
    segments, offset = [], 0
    for n, line in enumerate(lines):
        segments.append([offset, n * 3.5, 3.5])
        offset += len(line) + 1
    vault = open_vault()
    vault.objects.put("youtube/v/text.txt", "\n".join(lines).encode())
    vault.objects.put("youtube/v/segments.json", json.dumps(segments).encode())
    objects = {"text": "youtube/v/text.txt", "segments": "youtube/v/segments.json"}
    vault.records.put_content("yt:v", content_type="youtube", title="Talk", objects=objects)

    bus.call("tasks.process_content", content_id("yt:v"), ["embed"])

    chunks = vault.records.chunks(content_id("yt:v"))
    assert len(chunks) > 5
    assert chunks[0].start == 0
    for chunk in chunks:
        first = next(n for n, line in enumerate(lines) if chunk.text.split("\n")[0] in line)
        assert chunk.start == first * 3.5


def test_damaged_times_are_a_clear_failure_and_the_passages_stay(bus):
    vault = open_vault()
    vault.objects.put("youtube/v/text.txt", b"Hello there.")
    vault.objects.put("youtube/v/segments.json", b'[["x"]]')
    objects = {"text": "youtube/v/text.txt", "segments": "youtube/v/segments.json"}
    vault.records.put_content("yt:v", content_type="youtube", title="Talk", objects=objects)

    with pytest.raises(TaskFailed) as failed:
        bus.call("tasks.process_content", content_id("yt:v"))

    assert (failed.value.code, failed.value.tries) == ("bad_segments", 1)


@pytest.mark.parametrize("identity", ["0" * 32, "nope", "x'; DELETE content;", "../../etc"])
def test_an_unknown_content_id_is_a_permanent_failure(bus, identity):
    with pytest.raises(TaskFailed) as failed:
        bus.call("tasks.process_content", identity)

    assert (failed.value.code, failed.value.tries) == ("content_not_found", 1)
    assert identity in failed.value.message


def test_a_content_without_text_is_a_permanent_failure(bus):
    open_vault().records.put_content("x:y", content_type="link", title="Only a link")

    with pytest.raises(TaskFailed) as failed:
        bus.call("tasks.process_content", content_id("x:y"))

    assert (failed.value.code, failed.value.tries) == ("no_text", 1)


def test_an_unchanged_text_is_skipped_until_something_it_is_made_of_changes(bus, monkeypatch):
    identity = store(bus)
    bus.call("tasks.process_content", identity)

    assert bus.call("tasks.process_content", identity) == {
        "embed": "skipped",
        "summarize": "skipped",
    }
    monkeypatch.setenv("MENOS_CONTENT_CHUNK_TOKENS", "100")
    assert bus.call("tasks.process_content", identity) == {
        "embed": "completed",
        "summarize": "skipped",
    }


def test_one_operation_that_fails_does_not_keep_the_other_back(bus):
    identity = store(bus)
    other = store(bus, "Something else.", key="doc:other")
    bus.call("tasks.process_content", other, ["embed"])
    open_vault().records.change_model("another-model", 384)

    result = bus.call("tasks.process_content", identity)

    assert (result["embed"], result["summarize"]) == ("failed", "completed")
    assert result["errors"]["embed"]["code"] == "embedding_mismatch"
    content = open_vault().records.get_content(identity)
    assert content.summary
    assert content.status == "failed"
    assert "another-model" in content.error


def test_the_task_fails_if_nothing_succeeded(bus):
    identity = store(bus)
    bus.call("tasks.process_content", store(bus, "Something else.", key="doc:other"), ["embed"])
    open_vault().records.change_model("another-model", 384)

    with pytest.raises(TaskFailed) as failed:
        bus.call("tasks.process_content", identity, ["embed"])

    assert (failed.value.code, failed.value.tries) == ("embedding_mismatch", 1)


def test_what_may_pass_is_tried_again_and_what_was_done_is_not_done_again(bus, monkeypatch):
    identity = store(bus)
    tried = []

    def run(vault, document):
        tried.append(document.content.id)
        if len(tried) < 3:
            raise Retryable("not now", code="busy")

    monkeypatch.setattr(BUILT_IN["summarize"], "run", run)

    assert bus.call("tasks.process_content", identity) == {
        "embed": "skipped",
        "summarize": "completed",
    }
    assert len(tried) == 3
    assert open_vault().records.get_content(identity).status == "processed"


def test_a_text_that_is_changed_meanwhile_is_processed_again(bus, monkeypatch):
    identity = store(bus)

    def edit(vault, document):
        if document.text == TEXT:
            store(bus, "A new text that came in between.")

    monkeypatch.setattr(BUILT_IN["summarize"], "run", edit)

    assert bus.call("tasks.process_content", identity) == {
        "embed": "completed",
        "summarize": "completed",
    }
    [chunk] = open_vault().records.chunks(identity)
    assert chunk.text == "A new text that came in between."


def test_what_a_record_says_of_a_failure_stays_until_that_operation_succeeds(bus, monkeypatch):
    identity = store(bus)
    run = BUILT_IN["summarize"].run

    def refuse(vault, document):
        raise Permanent("the model\nis gone", code="gone")

    monkeypatch.setattr(BUILT_IN["summarize"], "run", refuse)
    bus.call("tasks.process_content", identity)
    assert bus.call("tasks.process_content", identity, ["embed"]) == {"embed": "skipped"}

    content = open_vault().records.get_content(identity)
    assert (content.status, content.error) == ("processed", "summarize: the model is gone")

    open_vault().records.change_model("another-model", 384)
    with pytest.raises(TaskFailed):
        bus.call("tasks.process_content", identity, ["embed"])
    error = open_vault().records.get_content(identity).error
    assert [line.partition(":")[0] for line in error.splitlines()] == ["summarize", "embed"]

    monkeypatch.setattr(BUILT_IN["summarize"], "run", run)
    bus.call("tasks.process_content", identity, ["summarize"])
    assert open_vault().records.get_content(identity).error.startswith("embed: ")

    bus.call("tasks.reindex_content")
    content = open_vault().records.get_content(identity)
    assert (content.status, content.error) == ("processed", None)


def test_a_content_that_is_deleted_while_it_is_processed_costs_no_more_work(bus, monkeypatch):
    identity = store(bus, TEXT * 60)
    embeddings = open_vault().embeddings
    embed = embeddings.embed_documents
    batches = []

    def embed_and_delete(texts, on_progress):
        def tell(done, total):
            batches.append((done, total))
            if len(batches) == 1:
                bus.call("tasks.delete_content", identity)
            on_progress(done, total)

        return embed(texts, tell)

    monkeypatch.setattr(embeddings, "embed_documents", embed_and_delete)

    with pytest.raises(TaskFailed) as failed:
        bus.call("tasks.process_content", identity)

    assert (failed.value.code, failed.value.tries) == ("content_not_found", 1)
    assert "('Title') was deleted while it was processed" in failed.value.message
    [(done, total)] = batches
    assert done < total
    assert open_vault().records.counts() == (0, 0)
    assert open_vault().objects.keys("content") == []


def test_a_repaired_content_is_no_longer_failed(bus):
    identity = store(bus)
    bus.call("tasks.process_content", identity)
    open_vault().records.update_content(identity, status="failed", error="disk full")

    bus.call("tasks.process_content", identity)

    content = open_vault().records.get_content(identity)
    assert (content.status, content.error) == ("processed", None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"operations": ["translate"]}, ["operations.0", "'embed'", "'summarize'"]),
        ({"operations": []}, ["operations"]),
        ({"operations": "embed"}, ["operations"]),
        ({"content_id": ""}, ["content_id"]),
        ({"content_id": 7}, ["content_id"]),
        ({"mode": "fast"}, ["mode", "unknown field", "operations"]),
    ],
)
def test_a_bad_argument_is_named(bus, arguments, words):
    with pytest.raises(InvalidCall) as refused:
        bus.call("tasks.process_content", **({"content_id": "0" * 32} | arguments))

    assert all(word in str(refused.value) for word in words)
