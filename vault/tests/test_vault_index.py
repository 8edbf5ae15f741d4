"""The search index is derived: whatever happens to it, it becomes what the records are."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from menos_vault import Chunk, Filters, RecordsUnavailable, Vault, VaultSettings, content_id
from menos_vault.records.index.local import LocalIndex, index_path
from menos_vault.records.index.tables import Tables

ONES = np.ones(8, dtype=np.float32)


def put(vault: Vault, key: str, *texts: str) -> str:
    content = vault.records.put_content(key, content_type="text", title=key)
    chunks = [Chunk(index=index, text=text) for index, text in enumerate(texts)]
    vectors = np.tile(ONES, (len(texts), 1))
    vault.records.replace_chunks(content.id, chunks, vectors, model="m")
    return content.id


def seen(vault: Vault) -> tuple[list[str], list[str]]:
    """What a search for `sea` finds by words, and what one for everything finds by meaning."""
    by_words = vault.records.search(query="sea", by_words=True, limit=100)
    by_meaning = vault.records.search(ONES, model="m", limit=100)
    return (
        sorted(hit.content.resource_key for hit in by_words),
        sorted(hit.content.resource_key for hit in by_meaning),
    )


def path_of(settings: VaultSettings) -> Path:
    path = index_path(settings.records_folder)
    assert path is not None
    return path


def remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def test_an_index_that_was_deleted_is_made_again(settings: VaultSettings) -> None:
    with Vault(settings) as vault:
        put(vault, "a", "the sea", "the land")
        put(vault, "b", "the sea")
        before = seen(vault)
    remove(path_of(settings))

    with Vault(settings) as vault:
        assert seen(vault) == before == (["a", "b"], ["a", "a", "b"])


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b""])
def test_an_index_that_is_damaged_is_made_again(settings: VaultSettings, damage: bytes) -> None:
    with Vault(settings) as vault:
        put(vault, "a", "the sea")
    remove(path_of(settings))
    path_of(settings).write_bytes(damage)

    with Vault(settings) as vault:
        assert seen(vault) == (["a"], ["a"])


@pytest.mark.parametrize("table", ["content", "words_data"])
def test_an_index_that_is_found_to_be_damaged_is_made_again_by_who_opens_it_next(
    settings: VaultSettings, table: str
) -> None:
    with Vault(settings) as vault:
        put(vault, "a", *(f"the sea, passage {number}" for number in range(200)))
        before = seen(vault)
    with sqlite3.connect(path_of(settings)) as database:
        [(page,)] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table])
    database.close()
    with path_of(settings).open("r+b") as file:
        file.seek((page - 1) * 4096)  # bytes of a page
        file.write(b"x" * 4096)

    with Vault(settings) as vault, pytest.raises(RecordsUnavailable, match="started again"):
        seen(vault)

    with Vault(settings) as vault:
        assert seen(vault) == before


def test_an_index_of_another_layout_is_made_again(settings: VaultSettings) -> None:
    with Vault(settings) as vault:
        put(vault, "a", "the sea")
    with sqlite3.connect(path_of(settings)) as database:
        database.execute("UPDATE fact SET value = '999' WHERE name = 'layout'")
    database.close()

    with Vault(settings) as vault:
        assert seen(vault) == (["a"], ["a"])


def test_an_index_that_fell_behind_takes_up_every_difference(settings: VaultSettings) -> None:
    with Vault(settings) as vault:
        for key in "abcd":
            put(vault, key, "the sea")
    old = path_of(settings).read_bytes()
    with Vault(settings) as vault:
        put(vault, "a", "the land", "the air")
        vault.records.delete_content(content_id("b"))
        vault.records.update_content(content_id("c"), title="inland sea")
        put(vault, "e", "the sea")
    remove(path_of(settings))
    path_of(settings).write_bytes(old)  # as a crash could have left it

    with Vault(settings) as vault:
        assert seen(vault) == (["c", "d", "e"], ["a", "a", "c", "d", "e"])
        assert vault.records.search(query="inland", by_words=True)


def test_a_kill_at_any_moment_leaves_nothing_that_is_not_repaired(settings: VaultSettings) -> None:
    code = (
        "import sys, numpy as np\n"
        "from menos_vault import *\n"
        "records = Vault().records\n"
        "for number in range(10_000):\n"
        "    content = records.put_content(str(number % 20), content_type='text', title='T')\n"
        "    count = number % 7 + 1\n"
        "    chunks = [Chunk(index=i, text='sea') for i in range(count)]\n"
        "    vectors = np.ones((count, 8), dtype=np.float32)\n"
        "    records.replace_chunks(content.id, chunks, vectors, model='m')\n"
        "    if number % 5 == 0: records.delete_content(content.id)\n"
        "    print(number, flush=True)\n"
    )
    for lines in (3, 40, 77):
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            env={**os.environ, "MENOS_HOME": str(settings.home)},
            text=True,
        )
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.kill()
        process.communicate()

        with Vault(settings) as vault:
            records = vault.records
            expected = sorted(
                content.resource_key
                for content in records.list_contents(limit=1000)
                for _ in records.chunks(content.id)
            )
            assert seen(vault) == (expected, expected)


def test_a_write_that_the_index_could_not_take_is_told_and_made_up_for(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(vault, "a", "the sea")
    real = Tables.replace_chunks

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Tables, "replace_chunks", full)
    with pytest.raises(RecordsUnavailable, match=r"disk is full.*free space") as failed:
        put(vault, "a", "the land")
    assert failed.value.retryable
    monkeypatch.setattr(Tables, "replace_chunks", real)

    assert seen(vault) == ([], ["a"])


def test_a_repair_that_fails_takes_nothing_away(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.records.put_content("a", content_type="text", title="Sea")

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Tables, "put_content", full)
        with pytest.raises(RecordsUnavailable):
            vault.records.update_content(content_id("a"), title="Land")

        assert vault.records.count_contents(Filters(content_types=["text"])) == 1

    put(vault, "a", "the sea")
    assert seen(vault) == (["a"], ["a"])


def test_writers_and_searchers_side_by_side_end_in_step(vault: Vault) -> None:
    put(vault, "0", "the sea")
    stop = threading.Event()
    failures: list[BaseException] = []

    def search() -> None:
        try:
            while not stop.is_set():
                seen(vault)
        except BaseException as error:
            failures.append(error)

    def write(number: int) -> None:
        try:
            for turn in range(12):
                key = str((number + turn) % 3)
                put(vault, key, *["the sea"] * (turn % 4 + 1))
                vault.records.update_content(content_id(key), title=f"T{turn}")
        except BaseException as error:
            failures.append(error)

    searchers = [threading.Thread(target=search) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in (*searchers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in searchers:
        thread.join()

    assert failures == []
    expected = sorted(
        content.resource_key
        for content in vault.records.list_contents()
        for _ in vault.records.chunks(content.id)
    )
    assert seen(vault) == (expected, expected)


def test_slots_of_deleted_passages_are_used_again(vault: Vault, settings: VaultSettings) -> None:
    for _ in range(5):
        put(vault, "a", *["the sea"] * 10)
    vault.close()

    index = LocalIndex(path_of(settings))
    assert index._tables.size <= 20
    index.close()
