"""A vault at a database server: what is different from one in this process."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from menos_vault import (
    Chunk,
    ContentNotFound,
    Filters,
    RecordsUnavailable,
    Vault,
    VaultSettings,
    content_id,
)
from menos_vault.errors import RecordsFailed
from menos_vault.records import NewContent, Records
from menos_vault.records.connection import Connection
from menos_vault.records.index import words
from menos_vault.records.server import statements
from menos_vault.records.server.frequencies import Frequencies
from menos_vault.records.server.words import insertions
from menos_vault.records.surreal import SurrealRecords
from surreal_server import SurrealServer

DIMENSION = 16


@pytest.fixture
def at_server(surreal: SurrealServer, tmp_path: Path) -> VaultSettings:
    return surreal.settings(tmp_path)


@pytest.fixture
def vault(at_server: VaultSettings) -> Iterator[Vault]:
    with Vault(at_server) as vault:
        yield vault


def unit(count: int, seed: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def put(records: Records, key: str, texts: list[str], seed: int = 0, **fields) -> str:
    content = records.put_content(key, content_type="text", title=key, **fields)
    put_chunks(records, content.id, texts, seed)
    return content.id


def put_chunks(records: Records, identity: str, texts: list[str], seed: int = 0) -> None:
    chunks = [Chunk(index=index, text=text) for index, text in enumerate(texts)]
    records.replace_chunks(identity, chunks, unit(len(texts), seed), model="m")


def keys(hits) -> list[tuple[str, int]]:
    return [(hit.content.resource_key, hit.chunk.index) for hit in hits]


def fill(records: Records) -> None:
    random = np.random.default_rng(3)
    vocabulary = np.array([f"word{letter}" for letter in "abcdefghijklmnopqrst"])
    for number in range(12):
        texts = [" ".join(random.choice(vocabulary, 6)) for _ in range(100)]
        tags = ["even"] if number % 2 == 0 else []
        put(records, f"k{number:02}", texts, seed=number, tags=tags)


def test_words_are_counted_once_a_vault_is_large_though_it_was_asked_for_them_before() -> None:
    class Growing:
        passages = words.LARGE - 1
        having = {"common": 900, "rare": 3}  # noqa: RUF012

        def ask(self, statement: str, **terms: str) -> list[Any]:
            if statement == statements.COUNT:
                return [[{"count": self.passages}]]
            return [[{"count": self.having[term]}] for term in terms.values()]

    server: Any = Growing()
    frequencies = Frequencies(server)
    assert set(frequencies.telling("common rare")) == {"common", "rare"}

    server.passages = words.LARGE

    assert set(frequencies.telling("common rare")) == {"rare"}


@pytest.mark.parametrize(
    ("filters", "few"),
    [(Filters(), 2000), (Filters(tags=["even"]), 2000), (Filters(tags=["even"]), 10)],
    ids=["no filter", "few pass", "many pass"],
)
@pytest.mark.parametrize("per_content", [0, 3])
def test_a_large_vault_answers_as_one_in_this_process(
    large: tuple[Records, Records],
    filters: Filters,
    few: int,
    per_content: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("menos_vault.records.server.meaning._FEW_CHUNKS", few)
    here, there = large
    options = {"limit": 8, "filters": filters, "per_content": per_content, "model": "m"}
    vector = unit(1, 100)[0]

    by_meaning = [keys(records.search(vector, **options)) for records in large]
    by_both = [
        records.search(vector, query="worda wordk", by_words=True, **options)
        for records in (here, there)
    ]

    assert by_meaning[0] == by_meaning[1]
    # Each engine has its own BM25; so it is its own list that has to be right.
    whole = there.search(vector, query="worda wordk", by_words=True, **options | {"limit": 1000})
    assert keys(by_both[1]) == keys(whole)[: len(by_both[1])]
    common = set(keys(by_both[0])) & set(keys(by_both[1]))
    assert len(common) >= len(by_both[0]) // 2


@pytest.fixture(scope="module")
def large(
    surreal: SurrealServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Records, Records]]:
    """The same 1200 passages in this process and at a server."""
    home = tmp_path_factory.mktemp("home")
    with Vault(VaultSettings(home=home)) as here, Vault(surreal.settings(home)) as there:
        for vault in (here, there):
            fill(vault.records)
        yield here.records, there.records


def test_a_vault_without_words_gets_them_when_it_is_opened(at_server: VaultSettings) -> None:
    with Vault(at_server) as vault:
        put(vault.records, "k", ["the albatross"] * 300)
        records = vault.records
        assert isinstance(records, SurrealRecords)
        records._open().ask("REMOVE TABLE words")

    with Vault(at_server) as vault:
        hits = vault.records.search(query="albatross", by_words=True, limit=1000)

    assert len(hits) == 300


@pytest.mark.parametrize("cut_short", [False, True])
def test_a_vault_of_an_earlier_release_gets_pairs_of_letters_when_it_is_opened(
    at_server: VaultSettings, cut_short: bool
) -> None:
    with Vault(at_server) as vault:
        put(vault.records, "k", [*["用GPU安装数据库"] * 300, "the albatross"])
        ask = vault.records._open().ask  # type: ignore[attr-defined]
        ask("REMOVE INDEX words_pairs ON words; REMOVE FIELD pairs ON words; DELETE vault:words")
        ask(
            "DEFINE FIELD OVERWRITE text ON words TYPE option<string> VALUE chunk.text; "
            "UPDATE words SET chunk = chunk, pairs = NONE"
        )
        if cut_short:
            ask(statements.FIELDS)
            for keyword in ("FULLTEXT", "SEARCH"):
                with contextlib.suppress(RecordsFailed):
                    ask(statements.define_index("words_pairs", keyword))
            ask(statements.VALUES)
            ask("UPDATE (SELECT VALUE id FROM words ORDER BY id LIMIT 9) SET chunk = chunk")
        # What has no such letters stays as it is: to write all may take too long.
        ask("DEFINE EVENT touched ON words THEN (UPSERT vault:touched SET rows += $event)")

    with Vault(at_server) as vault:
        found = [
            len(vault.records.search(query=query, by_words=True, limit=1000))
            for query in ("数据", "gpu", "albatross")
        ]
        ask = vault.records._open().ask  # type: ignore[attr-defined]
        [touched] = ask("SELECT VALUE array::len(rows) FROM ONLY vault:touched")

    assert found == [300, 300, 1]
    assert touched == (291 if cut_short else 300)


def test_two_processes_see_what_the_other_one_writes(at_server: VaultSettings) -> None:
    with Vault(at_server) as one, Vault(at_server) as two:
        put(one.records, "k", ["the albatross"])
        assert keys(two.records.search(query="albatross", by_words=True)) == [("k", 0)]
        two.records.update_content(content_id("k"), title="A gull")

        assert keys(one.records.search(query="gulls", by_words=True)) == [("k", 0)]
        assert one.records.search(query="k", by_words=True) == []


def test_a_title_that_changes_while_passages_are_written_is_the_one_they_are_found_by(
    at_server: VaultSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    ask = Connection.ask

    def slowly(self: Connection, statement: str, **variables: object) -> list[object]:
        if "INSERT INTO words" in statement and not begun.is_set():
            statement = statement.replace("COMMIT", "SLEEP 300ms; COMMIT")
            begun.set()
        return ask(self, statement, **variables)

    with Vault(at_server) as writer, Vault(at_server) as namer:
        identity = writer.records.put_content("k", content_type="text", title="albatross").id
        namer.records.ping()
        monkeypatch.setattr(Connection, "ask", slowly)
        thread = threading.Thread(target=put_chunks, args=(writer.records, identity, ["sea"]))
        thread.start()
        assert begun.wait(10)

        for title in ["gull", "tern"] * 10:  # the first ones may come before the passages
            namer.records.update_content(identity, title=title)
        thread.join()

        assert keys(namer.records.search(query="tern", by_words=True)) == [("k", 0)]
        assert namer.records.search(query="albatross gull", by_words=True) == []


def test_passages_that_another_writer_removed_get_no_words(
    at_server: VaultSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Vault(at_server) as slow, Vault(at_server) as fast:
        identity = put(fast.records, "zebra", ["sea"])

        def overtaken(keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
            put_chunks(fast.records, identity, ["sea"])
            return insertions(keys)

        monkeypatch.setattr("menos_vault.records.server.upkeep.insertions", overtaken)
        put_chunks(slow.records, identity, ["sky"] * 300)

        records = fast.records
        assert isinstance(records, SurrealRecords)
        [rows] = records._open().ask("SELECT VALUE text FROM words")
        assert rows == ["zebra\n\nsea"]


def test_a_long_content_gets_its_new_title_in_parts_also_if_it_was_cut_short(
    at_server: VaultSettings,
) -> None:
    def found_by(query: str) -> int:
        return len(vault.records.search(query=query, by_words=True, limit=1000))

    with Vault(at_server) as vault:
        identity = put(vault.records, "albatross", ["sea"] * 230)
        vault.records.update_content(identity, title="gull")
        assert (found_by("albatross"), found_by("gull")) == (0, 230)

        # What a process leaves behind that dies before the first part.
        records = vault.records
        assert isinstance(records, SurrealRecords)
        records._open().ask("UPDATE content SET title = 'tern'; UPDATE writer SET outdated = true")

    with Vault(at_server) as vault:
        assert (found_by("gull"), found_by("tern")) == (0, 230)


def test_a_note_of_a_content_that_somebody_removed_by_hand_keeps_nobody_out(
    at_server: VaultSettings,
) -> None:
    with Vault(at_server) as vault:
        put(vault.records, "albatross", ["sea"])
        records = vault.records
        assert isinstance(records, SurrealRecords)
        records._open().ask("UPDATE writer SET outdated = true; DELETE content RETURN NONE")

    with Vault(at_server) as vault:
        assert vault.records.counts().contents == 0


def test_new_titles_of_several_contents_are_no_longer_work_at_once_and_are_all_written(
    at_server: VaultSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RecordsUnavailable("away")

    keys = ("a", "b", "c")
    new: list[NewContent] = [
        {"resource_key": key, "content_type": "text", "title": "gull"} for key in keys
    ]
    with Vault(at_server) as vault:
        for key in keys:
            put_chunks(vault.records, put(vault.records, key, []), ["sea"] * 60)
        with monkeypatch.context() as patched:
            patched.setattr("menos_vault.records.server.upkeep._retitle", fail)
            with pytest.raises(RecordsUnavailable):
                vault.records.put_contents(new)
            at_once = vault.records.search(query="gull", by_words=True, limit=1000)

        assert 0 < len(at_once) <= 100
        assert len(vault.records.search(query="gull", by_words=True, limit=1000)) == 180


def test_a_content_that_is_not_there_leaves_nothing_when_it_is_named(vault: Vault) -> None:
    with pytest.raises(ContentNotFound):
        vault.records.update_content(content_id("k"), title="k")

    records = vault.records
    assert isinstance(records, SurrealRecords)
    assert records._open().ask("SELECT * FROM writer") == [[]]


def test_common_words_of_a_large_vault_are_left_out(large: tuple[Records, Records]) -> None:
    _, there = large
    assert there.counts().chunks >= words.LARGE
    put(there, "rare", ["the albatross"], seed=200)

    assert keys(there.search(query="albatross worda", by_words=True, limit=1)) == [("rare", 0)]
    there.delete_content(content_id("rare"))


def test_a_long_content_whose_words_were_not_all_written_is_not_done(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = vault.records.put_content("k", content_type="text", title="k")
    chunks = [Chunk(index=index, text="sea") for index in range(600)]

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    def write() -> None:
        vault.records.replace_chunks(
            content.id, chunks, unit(600, 1), model="m", fingerprint="done"
        )

    with monkeypatch.context() as patched:
        patched.setattr("menos_vault.records.server.upkeep.insertions", die)
        with pytest.raises(KeyboardInterrupt):
            write()
    unfinished = vault.records.chunk_set(content.id)
    write()

    assert unfinished is not None
    assert unfinished.fingerprint == ""
    finished = vault.records.chunk_set(content.id)
    assert finished is not None
    assert finished.fingerprint == "done"
    assert len(vault.records.search(query="sea", by_words=True, limit=1000)) == 600
