"""Tables of another release, and tables that are not there: in this process and at servers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from menos_vault import Chunk, ContentNotFound, RecordsFailed, Vault, VaultSettings, content_id
from menos_vault.records import migrations, schema
from menos_vault.records.answers import Ask
from menos_vault.records.connection import Connection
from menos_vault.records.server import statements
from surreal_server import ENGINES, SurrealServer, packages_of

ONES = np.ones(8, dtype=np.float32)


def put(vault: Vault, key: str, text: str = "the sea") -> str:
    content = vault.records.put_content(key, content_type="text", title=key)
    vault.records.replace_chunks(
        content.id, [Chunk(index=0, text=text)], ONES[np.newaxis], model="m"
    )
    return content.id


def found(vault: Vault) -> list[tuple[str, str]]:
    """What a search by words finds, and what one by meaning does."""
    by_words = vault.records.search(query="sea", by_words=True)
    by_meaning = vault.records.search(ONES, model="m")
    pairs = zip(by_words, by_meaning, strict=True)
    return [(one.content.resource_key, other.content.resource_key) for one, other in pairs]


def as_of_release_0_1(settings: VaultSettings) -> None:
    """Make the tables, the index and the rows that release 0.1 wrote."""
    old = Connection(settings)
    old.ask("REMOVE TABLE chunk_set; REMOVE TABLE vault; REMOVE TABLE content; REMOVE TABLE chunk")
    old.ask(schema.VERSION_1)
    old.ask(
        "UPSERT vault:embedding SET model = 'm', dimension = 8;"
        "UPSERT content:⟨0123456789abcdef0123456789abcdef⟩ SET resource_key = 'k', title = 'T', "
        "content_type = 'youtube', metadata = { published_at: '2024-05-01T10:00:00Z' };"
        "UPSERT chunk:⟨0123456789abcdef0123456789abcdef_000000⟩ SET index = 0, text = 'the sea', "
        "content = content:⟨0123456789abcdef0123456789abcdef⟩, model = 'm', embedding = $vector",
        vector=ONES.tolist(),
    )
    old.ask(statements.vector_index(8))
    old.close()


def test_a_vault_of_release_0_1_opens_and_is_brought_up_to_date(anywhere: VaultSettings) -> None:
    as_of_release_0_1(anywhere)

    for _ in range(2):  # the second time there is nothing left to do
        with Vault(anywhere) as vault:
            assert found(vault) == [("k", "k")]
            [content] = vault.records.list_contents()
            assert content.published_at is not None
            assert content.published_at.year == 2024
            known = vault.records.chunk_set(content.id)
            assert known is not None
            assert (known.count, known.model, known.chunker) == (1, "m", "")


def test_of_two_processes_that_open_an_old_vault_one_does_the_step(
    anywhere: VaultSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_of_release_0_1(anywhere)
    step = migrations.STEPS[1]
    begun = 0

    async def overtaken(ask: Ask) -> tuple[str, dict[str, Any]]:
        nonlocal begun
        begun += 1
        mine = await step(ask)
        if begun == 1:
            await migrations.migrate(ask)
        return mine

    first, _, *later = migrations.STEPS
    monkeypatch.setattr(migrations, "STEPS", [first, overtaken, *later])
    with Vault(anywhere) as vault:
        assert len(vault.records.chunk_sets()) == 1
    assert begun == 2


def test_a_vault_of_a_newer_release_is_left_alone(anywhere: VaultSettings) -> None:
    connection = Connection(anywhere)
    connection.ask("UPSERT vault:schema SET version = 99")
    connection.close()

    with Vault(anywhere) as vault, pytest.raises(RecordsFailed, match=r"version 99.*newer"):
        vault.records.counts()


def test_a_step_that_fails_stops_the_opening_and_leaves_the_vault_as_it_was(
    anywhere: VaultSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Vault(anywhere) as vault:
        put(vault, "a")

    async def broken(_: Ask) -> tuple[str, dict[str, object]]:
        return (
            "UPDATE content SET title = 'lost'; DEFINE FIELD title ON content TYPE int; "
            "DEFINE TABLE extra; THROW 'no'",
            {},
        )

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", [*migrations.STEPS, broken])
        with (
            Vault(anywhere) as vault,
            pytest.raises(RecordsFailed, match=f"from version {schema.VERSION} to"),
        ):
            vault.records.counts()

    connection = Connection(anywhere)
    [tables] = connection.ask("INFO FOR DB")
    connection.close()
    assert "extra" not in tables["tables"]
    with Vault(anywhere) as vault:
        assert vault.records.get_content(content_id("a")).title == "a"
        put(vault, "b")


def test_the_newest_version_is_that_of_the_last_step() -> None:
    assert len(migrations.STEPS) == schema.VERSION


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[SurrealServer]:
    server = SurrealServer("mem://", packages_of(request.param, request.config))
    server.start()
    yield server
    server.kill()


def test_a_database_that_was_emptied_gets_its_tables_again(
    server: SurrealServer, tmp_path: Path
) -> None:
    def restart(_: Vault) -> None:
        server.kill()
        server.start()

    def remove(vault: Vault) -> None:
        vault.records._open().ask(f"REMOVE DATABASE {settings.database}")  # type: ignore[attr-defined]

    settings = server.settings(tmp_path)
    with Vault(settings) as vault:
        for empty in (restart, remove):
            for first in (put, lambda vault, key: vault.records.search(query=key, by_words=True)):
                identity = put(vault, "before")
                empty(vault)

                first(vault, "k")
                with pytest.raises(ContentNotFound):
                    vault.records.get_content(identity)
                put(vault, "k")

                assert found(vault) == [("k", "k")]
                [tables] = vault.records._open().ask("INFO FOR TABLE content")  # type: ignore[attr-defined]
                assert "content_resource_key" in tables["indexes"]


@pytest.mark.parametrize("lost", [["vault"], ["content"], ["chunk", "chunk_set"]])
def test_of_a_database_that_lost_tables_it_is_said_which_and_that_only_a_backup_has_them(
    anywhere: VaultSettings, lost: list[str]
) -> None:
    with Vault(anywhere) as vault:
        put(vault, "k")
        for name in lost:
            vault.records._open().ask(f"REMOVE TABLE {name}")  # type: ignore[attr-defined]

    for _ in range(2):  # the first time nothing was made again
        said = f"has lost {', '.join(lost)}: .*backup"
        with Vault(anywhere) as vault, pytest.raises(RecordsFailed, match=said):
            vault.records.list_contents()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_table_that_was_removed_under_a_running_worker_is_missed(
    servers: Callable[[str], SurrealServer], engine: str, tmp_path: Path
) -> None:
    settings = servers(engine).settings(tmp_path)
    with Vault(settings) as vault:
        put(vault, "k")
        vault.records._open().ask("REMOVE TABLE content")  # type: ignore[attr-defined]
        for _ in range(2):  # the first time nothing was made again
            with pytest.raises(RecordsFailed, match=r"has lost content: .*backup"):
                put(vault, "k")


def test_a_worker_whose_vault_a_newer_release_has_opened_writes_no_more(
    server: SurrealServer, tmp_path: Path
) -> None:
    settings = server.settings(tmp_path)
    with Vault(settings) as vault:
        put(vault, "k")
        newer = Connection(settings)
        newer.ask("UPSERT vault:schema SET version = 99")
        newer.close()

        with pytest.raises(RecordsFailed, match=r"version 99.*newer"):
            put(vault, "k")
