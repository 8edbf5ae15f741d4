"""The tasks that look after the vault."""

import json
import threading
import time

import pytest

import menos_content.plugin
from menos_bus import InvalidCall, TaskFailed
from menos_bus.testing import TestBus
from menos_content import reindex, side_by_side
from menos_vault import VaultError, close_vault, content_id, open_vault

TEXTS = {
    "ships": "A keel keeps a sailing boat upright.",
    "tea": "Green tea wants water of 75 degrees.",
    "law": "A contract needs an offer, and that it is accepted.",
}


@pytest.fixture
def bus(tmp_path, monkeypatch):
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path / "home"))
    yield TestBus(menos_content.plugin)
    close_vault()


@pytest.fixture
def stored(bus):
    return {
        name: bus.call(
            "tasks.store_content", text, name.title(), resource_key=name, tags=["t", name]
        )["content_id"]
        for name, text in TEXTS.items()
    }


def test_contents_are_listed_the_newest_first_page_by_page_and_by_filter(bus, stored):
    first = bus.call("tasks.list_content", limit=2)
    second = bus.call("tasks.list_content", limit=2, offset=2)
    tagged = bus.call("tasks.list_content", tag="tea", content_type="text")
    chosen = bus.call("tasks.list_content", content_id=[stored["tea"], "0" * 32])

    assert [row["title"] for row in first["contents"]] == ["Law", "Tea"]
    assert [row["title"] for row in second["contents"]] == ["Ships"]
    assert first["total"] == second["total"] == 3
    assert [row["content_id"] for row in tagged["contents"]] == [stored["tea"]]
    assert tagged["total"] == 1
    assert ([row["title"] for row in chosen["contents"]], chosen["total"]) == (["Tea"], 1)
    assert bus.call("tasks.list_content", content_id=stored["law"])["total"] == 1
    assert bus.call("tasks.list_content", limit=1, tag="t")["total"] == 3


@pytest.mark.parametrize("task", ["tasks.list_content", "tasks.export_content"])
def test_an_offset_that_no_database_can_count_to_is_refused(bus, task):
    with pytest.raises(InvalidCall, match="offset: input should be less than"):
        bus.call(task, offset=10**30)


def test_a_content_is_shown_with_its_text_if_asked_for(bus, stored):
    shown = bus.call("tasks.show_content", stored["tea"])

    assert (shown["title"], shown["status"], shown["chunks"]) == ("Tea", "stored", 0)
    assert shown["text"] is None
    assert bus.call("tasks.show_content", stored["tea"], text=True)["text"] == TEXTS["tea"]


def test_deleting_takes_record_passages_and_objects(bus, stored, model):
    bus.call("tasks.process_content", stored["tea"])
    vault = open_vault()
    key = vault.records.get_content(stored["tea"]).objects["text"]

    assert bus.call("tasks.delete_content", stored["tea"])["title"] == "Tea"

    assert not vault.objects.exists(key)
    assert vault.records.counts() == (2, 0)
    for task in ("tasks.delete_content", "tasks.show_content", "tasks.process_content"):
        with pytest.raises(TaskFailed) as failed:
            bus.call(task, stored["tea"])
        assert failed.value.code == "content_not_found"


def test_unknown_ids_keep_no_other_deletion_back_and_are_named(bus, stored):
    unknown = "0" * 32

    result = bus.call("tasks.delete_content", [unknown, stored["tea"], "x", stored["tea"]])

    assert [content["title"] for content in result["deleted"]] == ["Tea"]
    assert result["missing"] == [unknown, "x"]
    assert open_vault().records.counts().contents == 2


def test_a_deletion_that_was_cut_short_is_done_by_the_next_one(bus, stored, monkeypatch):
    vault = open_vault()

    def die(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(vault.records, "delete_content", die)
        with pytest.raises(KeyboardInterrupt):
            vault.delete(stored["tea"])

    assert bus.call("tasks.delete_content", stored["tea"])["status"] == "success"


def test_statistics_count_by_type_and_status(bus, stored, model):
    bus.call("tasks.process_content", stored["tea"], ["embed"])

    stats = bus.call("tasks.vault_stats")

    assert stats == {
        "contents": 3,
        "chunks": 1,
        "model": "all-MiniLM-L6-v2",
        "dimension": 384,
        "content_types": {"text": 3},
        "statuses": {"stored": 2, "processed": 1},
    }


def exported(bus):
    lines, offset = [], 0
    while offset is not None:
        page = bus.call("tasks.export_content", limit=2, offset=offset)
        lines += page["lines"]
        offset = page["next"]
    return lines


def test_an_export_names_what_the_objects_have_lost(bus, stored):
    key = open_vault().records.get_content(stored["tea"]).objects["text"]
    open_vault().objects.delete(key)

    page = bus.call("tasks.export_content")

    [line] = [line for line in page["lines"] if line["resource_key"] == "tea"]
    assert (len(page["lines"]), line["objects"]) == (3, {})
    assert page["lost"] == [{"content_id": stored["tea"], "title": line["title"], "object": "text"}]


def test_an_export_passes_over_what_is_deleted_while_it_goes_on(bus, stored, monkeypatch):
    records = open_vault().records
    page_of = records.list_contents

    def list_then_delete(**asked):
        page = page_of(**asked)
        if records.get_contents([stored["tea"]]):
            open_vault().delete(stored["tea"])
        return page

    monkeypatch.setattr(records, "list_contents", list_then_delete)

    page = bus.call("tasks.export_content", limit=3)

    assert (len(page["lines"]), page["lost"], page["next"]) == (2, [], 2)


def test_what_is_exported_is_the_same_after_an_import_elsewhere(
    bus, stored, model, tmp_path, monkeypatch
):
    bus.call("tasks.process_content", stored["tea"])
    open_vault().objects.put("raw/tea.bin", b"\xff\x00\xfe")
    open_vault().records.update_content(
        stored["tea"],
        objects={"raw": "raw/tea.bin"},
        metadata={"published_at": "2024-05-01T00:00:00Z", "deep": {"none": None}},
    )
    lines = json.loads(json.dumps(exported(bus)))
    close_vault()
    monkeypatch.setenv("MENOS_HOME", str(tmp_path / "elsewhere"))

    for _ in range(2):
        imported = bus.call("tasks.import_content", lines)

    assert sorted(imported["content_ids"]) == sorted(stored.values())
    assert exported(bus) == [
        {**line, "status": "stored"}  # its passages are yet to be made
        for line in lines
    ]
    assert open_vault().objects.get("raw/tea.bin") == b"\xff\x00\xfe"
    result = bus.call("tasks.reindex_content", missing=True)
    assert (result["contents"], result["chunks"], result["failed"]) == (3, 3, [])
    assert bus.call("tasks.vault_stats")["statuses"] == {"processed": 3}


def test_many_texts_are_stored_and_embedded_by_one_call(bus, model):
    lines = [
        {"resource_key": f"doc:{n}", "title": f"Note {n}", "text": f"Whale number {n} sings."}
        for n in range(20)
    ]
    lines[3]["text"] = " "
    with pytest.raises(InvalidCall) as refused:
        bus.call("tasks.import_content", lines, process=["embed"])
    assert refused.value.problems[0].field == "lines.3.text"
    lines[3]["text"] = "A parrot speaks."

    for _ in range(2):
        imported = bus.call("tasks.import_content", lines, process=["embed"])

    assert imported["content_ids"] == [content_id(line["resource_key"]) for line in lines]
    assert imported["failed"] == []
    stats = bus.call("tasks.vault_stats")
    assert (stats["statuses"], stats["chunks"]) == ({"processed": 20}, 20)
    lines[3]["text"] = "A parrot is silent."
    bus.call("tasks.import_content", lines[3:4])
    assert bus.call("tasks.vault_stats")["statuses"] == {"processed": 19, "stored": 1}


def test_a_line_that_cannot_be_stored_is_named_and_keeps_no_other_back(bus):
    vault = open_vault()
    vault.records.put_content(
        "yt:1", content_type="youtube", title="A video", objects={"text": "youtube/1/text.txt"}
    )
    lines = [{"resource_key": key, "title": key, "text": key} for key in ("yt:1", "b", "c")]

    imported = bus.call("tasks.import_content", lines)

    [failed] = imported["failed"]
    assert (failed["content_id"], failed["code"]) == (content_id("yt:1"), "resource_key_taken")
    assert vault.records.counts().contents == 3


def test_an_imported_line_leaves_what_it_does_not_say(bus):
    line = {"resource_key": "note:1", "title": "Tea", "text": "Green tea."}
    bus.call("tasks.import_content", [{**line, "tags": ["drinks"], "author": "Ada"}])
    [content_id] = bus.call("tasks.import_content", [{**line, "text": "Black tea."}])["content_ids"]

    shown = bus.call("tasks.show_content", content_id, text=True)

    assert (shown["tags"], shown["author"], shown["text"]) == (["drinks"], "Ada", "Black tea.")
    bus.call("tasks.import_content", [{**line, "tags": []}])
    assert bus.call("tasks.show_content", content_id)["tags"] == []


def test_an_import_of_the_same_text_leaves_it_processed_or_not_as_it_is(bus, stored, model):
    bus.call("tasks.process_content", stored["tea"])
    lines = exported(bus)
    for line in lines:
        line["status"] = "processed"

    bus.call("tasks.import_content", lines)

    assert bus.call("tasks.vault_stats")["statuses"] == {"processed": 1, "stored": 2}


@pytest.mark.parametrize("kind", ["text", "exported", "exported to another key"])
def test_an_imported_text_that_is_another_one_is_yet_to_be_processed(bus, stored, model, kind):
    bus.call("tasks.process_content", stored["tea"])
    [line] = [line for line in exported(bus) if line["resource_key"] == "tea"]
    if kind == "text":
        line["text"] = "Tea is made of leaves."
        del line["objects"]
    else:
        line["objects"]["text"]["text"] = "Tea is made of leaves."
    if kind.endswith("key"):
        line["objects"]["text"]["key"] = "raw/tea.txt"
        open_vault().objects.put("raw/tea.txt", b"Tea is made of leaves.")

    bus.call("tasks.import_content", [line])

    assert open_vault().records.get_content(stored["tea"]).status == "stored"
    bus.call("tasks.import_content", [line], process=["embed"])
    [passage] = open_vault().records.chunks(stored["tea"])
    assert passage.text == "Tea is made of leaves."
    assert open_vault().records.get_content(stored["tea"]).status == "processed"


def test_an_import_that_dies_before_its_record_is_written_leaves_a_text_to_be_processed(
    bus, stored, model, monkeypatch
):
    bus.call("tasks.process_content", stored["tea"])
    [line] = [line for line in exported(bus) if line["resource_key"] == "tea"]
    line["objects"]["text"]["text"] = "Tea is made of leaves."

    def die(_: object) -> None:
        raise VaultError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(open_vault().records, "put_contents", die)
        with pytest.raises(TaskFailed):
            bus.call("tasks.import_content", [line])

    assert open_vault().records.get_content(stored["tea"]).status == "stored"


def test_of_lines_with_one_key_the_last_one_counts(bus, model):
    lines = [{"resource_key": "doc", "title": title, "text": title} for title in ("One", "Two")]

    imported = bus.call("tasks.import_content", lines, process=["embed"])

    assert imported["content_ids"] == [content_id("doc")] * 2
    [content] = bus.call("tasks.list_content")["contents"]
    assert (content["title"], content["status"]) == ("Two", "processed")


def test_a_line_without_a_key_is_the_content_that_a_call_without_one_stores(bus):
    stored = bus.call("tasks.store_content", "Green tea.", "Tea")

    imported = bus.call("tasks.import_content", [{"title": "Tea", "text": "Green tea."}])

    assert imported["content_ids"] == [stored["content_id"]]
    assert bus.call("tasks.vault_stats")["contents"] == 1


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2024-05-01", "2024-05-01T00:00:00Z"),
        ("2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00Z"),
        ("20240501T120000Z", "2024-05-01T12:00:00Z"),
        ("2024-05-01 12:00", "2024-05-01T12:00:00Z"),
    ],
)
def test_a_time_of_publication_is_kept_in_utc(bus, given, moment):
    bus.call("tasks.store_content", "x", "X", metadata={"published_at": given})
    line = {"resource_key": "y", "title": "Y", "text": "y", "published_at": given}
    bus.call("tasks.import_content", [line])

    listed = bus.call("tasks.list_content")["contents"]

    assert [content["published_at"] for content in listed] == [moment, moment]


def test_what_an_older_vault_called_a_date_comes_back(bus):
    vault = open_vault()
    vault.records.put_content(
        "x", content_type="link", title="X", metadata={"published_at": "spring"}
    )

    assert bus.call("tasks.import_content", exported(bus))["content_ids"] == [content_id("x")]


def test_what_cannot_be_processed_of_many_is_named(bus, stored):
    lines = exported(bus)
    lines[1]["objects"]["text"] = {"key": "raw/x", "base64": "/wA=", "text": None}

    imported = bus.call("tasks.import_content", lines, process=["embed"])

    [failed] = imported["failed"]
    assert (failed["content_id"], failed["code"]) == (imported["content_ids"][1], "no_text")
    assert bus.call("tasks.vault_stats")["statuses"] == {"processed": 2, "stored": 1}


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({}, "lines.0.title"),
        ({"title": "X", "objects": {}}, "lines.0.resource_key"),
        ({"objects": {}, "url": "javascript:alert(1)"}, "lines.0.url"),
        (
            {
                "resource_key": "x",
                "title": "X",
                "text": "x",
                "objects": {"raw": {"key": "x", "text": "x"}},
            },
            "lines.0",
        ),
        ({"resource_key": "x", "title": "X"}, "lines.0.text"),
        ({"colour": "red"}, "lines.0.colour"),
        ({"author": "half \ud800"}, "lines.0.author"),
        ({"tags": ["half \ud800"]}, "lines.0.tags.0"),
        ({"objects": {}, "metadata": {"a": ["half \ud800"]}}, "lines.0.metadata.a.0"),
        ({"objects": {}, "author": "half \ud800"}, "lines.0.author"),
        ({"published_at": "yesterday"}, "lines.0.published_at"),
        ({"metadata": {"deep": [2**64]}}, "lines.0.metadata"),
        ({"metadata": {"deep": [float("inf")]}}, "lines.0.metadata"),
        ({"metadata": {"deep": json.loads("[" * 60 + "]" * 60)}}, "lines.0.metadata"),
        ({"published_at": 1714521600}, "lines.0.published_at"),
        (
            {
                "resource_key": "x",
                "title": "X",
                "text": "x",
                "metadata": {"published_at": "0001-01-01T00:00:00+14:00"},
            },
            "lines.0.metadata",
        ),
        ({"objects": {"raw": {"key": "x", "base64": "§"}}}, "lines.0.objects.raw.base64"),
        ({"objects": {"text": {"key": "../../evil", "text": "x"}}}, "lines.0.objects.text.key"),
    ],
)
def test_a_line_that_cannot_be_is_named_and_nothing_is_stored(bus, line, field):
    with pytest.raises(InvalidCall) as refused:
        bus.call("tasks.import_content", [line])

    assert field in [problem.field for problem in refused.value.problems]
    assert open_vault().records.counts().contents == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("resource_key", " "),
        ("title", "\u200b"),
        ("content_type", "Plain Text"),
        ("author", ""),
        ("url", "javascript:alert(1)"),
        ("language", "no language"),
        ("tags", ["x" * 101]),
        ("metadata", {"": 1}),
        ("metadata", {"a": [1, "half \ud800"]}),
        ("metadata", {"x": "x" * 100_000}),
        ("text", "\n"),
    ],
)
def test_a_text_that_store_content_refuses_is_refused_as_a_line_for_the_same_reason(
    bus, field, value
):
    given = {"title": "T", "text": "x", field: value}
    with pytest.raises(InvalidCall) as stored:
        bus.call("tasks.store_content", **given)

    with pytest.raises(InvalidCall) as imported:
        bus.call("tasks.import_content", [{"title": "Good", "text": "x"}, given])

    assert imported.value.problems == [
        (f"lines.1.{place}", reason) for place, reason in stored.value.problems
    ]
    assert open_vault().records.counts().contents == 0


def test_reindexing_after_a_change_embeds_only_what_is_old(bus, stored, model, monkeypatch):
    for identity in (stored["tea"], stored["law"]):
        bus.call("tasks.process_content", identity)
    versions = open_vault().records.chunk_sets()

    assert bus.call("tasks.reindex_content")["contents"] == 2
    assert open_vault().records.chunk_sets() == versions

    monkeypatch.setenv("MENOS_CONTENT_CHUNK_TOKENS", "16")
    monkeypatch.setenv("MENOS_CONTENT_CHUNK_OVERLAP", "0")
    bus.call("tasks.process_content", stored["tea"])
    changed = open_vault().records.chunk_sets()[stored["tea"]]
    bus.call("tasks.reindex_content")

    after = open_vault().records.chunk_sets()
    assert after[stored["tea"]] == changed
    assert after[stored["law"]].chunker.endswith(":16/0")
    assert stored["ships"] not in after


def test_after_a_change_of_model_reindexing_makes_the_vault_searchable_again(bus, stored, model):
    for identity in stored.values():
        bus.call("tasks.process_content", identity)
    records = open_vault().records
    records.change_model("older", 8)

    result = bus.call("tasks.reindex_content")

    assert result["failed"] == []
    assert records.model() == (model.model, model.dimension)
    query = model.embed_query("how hot should the water be")
    assert records.search(query, model=model.model, limit=1)[0].content.title == "Tea"
    assert {known.model for known in records.chunk_sets().values()} == {model.model}


def test_a_long_reindexing_gives_way_and_goes_on_where_it_was(bus, stored, model, monkeypatch):
    for identity in stored.values():
        bus.call("tasks.process_content", identity)
    open_vault().records.change_model("older", 8)
    monkeypatch.setattr(side_by_side, "_SLICE", 0)
    monkeypatch.setattr(side_by_side, "_AT_A_TIME", 1)
    monkeypatch.setattr(side_by_side, "_GROUP", 1)

    # In place nobody runs again what was put back.
    for _ in range(2):
        with pytest.raises(TaskFailed) as put_back:
            bus.call("tasks.reindex_content")
        assert put_back.value.code == "more_to_do"

    assert bus.call("tasks.reindex_content")["contents"] == 3
    assert {known.model for known in open_vault().records.chunk_sets().values()} == {model.model}


def test_short_contents_are_embedded_side_by_side_and_long_ones_one_after_another(
    bus, stored, model, monkeypatch
):
    for identity in stored.values():
        bus.call("tasks.process_content", identity)
    running, most = threading.Semaphore(0), []
    embed = reindex.embed

    def counted(*arguments):
        running.release()
        time.sleep(0.2)
        most.append(running._value)
        try:
            return embed(*arguments)
        finally:
            running.acquire()

    monkeypatch.setattr(reindex, "embed", counted)
    for characters, expected in [(1000, 3), (40, 1)]:
        monkeypatch.setattr(side_by_side, "_CHARACTERS", characters)
        open_vault().records.change_model(f"older {characters}", 8)
        most.clear()

        assert bus.call("tasks.reindex_content")["contents"] == 3
        assert max(most) == expected


def test_a_content_that_was_not_written_to_its_end_is_embedded_again(bus, stored, model):
    bus.call("tasks.process_content", stored["tea"])
    records = open_vault().records
    whole = records.chunk_set(stored["tea"])
    vector = model.embed_documents([TEXTS["tea"]])
    # What a writer leaves that a server was taken from before all words were there.
    records.replace_chunks(
        stored["tea"],
        records.chunks(stored["tea"]),
        vector,
        model=whole.model,
        chunker=whole.chunker,
        fingerprint="",
    )

    bus.call("tasks.reindex_content")

    assert records.chunk_set(stored["tea"]).fingerprint == whole.fingerprint


def test_a_content_that_cannot_be_embedded_is_named_and_keeps_no_other_back(bus, stored, model):
    for identity in stored.values():
        bus.call("tasks.process_content", identity)
    vault = open_vault()
    vault.records.change_model("older", 8)
    vault.objects.delete(vault.records.get_content(content_id("law")).objects["text"])

    result = bus.call("tasks.reindex_content")

    assert result["contents"] == 2
    [failed] = result["failed"]
    assert (failed["content_id"], failed["code"]) == (stored["law"], "no_text")
